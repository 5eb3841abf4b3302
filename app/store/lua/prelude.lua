-- Shared by every script that reads or changes the blocks of a shard.
--
-- A block is a string of packed little-endian numbers, 'f' (float32) or 'd' (float64).
-- Scripts compute in double and round once, on packing, so that the NumPy twins
-- (float64, then cast) give the same bits.

-- struct.unpack fails beyond some 7,900 values; runs of this many were the fastest.
local RUN = 512
local WIDTH = { f = 4, d = 8 }
-- From here on a double rounds to an infinite float32.
local LIMIT = { f = 3.4028235677973366e38, d = math.huge }
local FULL = { f = '<' .. string.rep('f', RUN), d = '<' .. string.rep('d', RUN) }

local function format(dtype, count)
  if count == RUN then return FULL[dtype] end
  return '<' .. string.rep(dtype, count)
end

local function split(ids)
  local list = {}
  for id in string.gmatch(ids, '[^,]+') do list[#list + 1] = id end
  return list
end

local function range(first, last)
  local list = {}
  for id = tonumber(first), tonumber(last) do list[#list + 1] = string.format('%d', id) end
  return list
end

-- Arguments of one command are unpacked onto Lua's stack, which is finite.
local SLICE = 2000

local function read_blocks(key, ids)
  local blocks = {}
  for first = 1, #ids, SLICE do
    local last = math.min(first + SLICE - 1, #ids)
    local part = redis.call('HMGET', key, unpack(ids, first, last))
    for i = 1, last - first + 1 do blocks[first + i - 1] = part[i] end
  end
  return blocks
end

local function write_blocks(key, ids, blocks)
  for first = 1, #ids, SLICE do
    local pairs_ = {}
    for i = first, math.min(first + SLICE - 1, #ids) do
      pairs_[#pairs_ + 1] = ids[i]
      pairs_[#pairs_ + 1] = blocks[i]
    end
    redis.call('HSET', key, unpack(pairs_))
  end
end
