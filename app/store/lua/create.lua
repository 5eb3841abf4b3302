-- Write whole vectors of a shard: the first ones, unless the run is here already (a late or
-- restarted process can never reset a training); those of a checkpoint, in place of all that
-- is here; or one more beside what is here. What is large comes in pieces, which wait in hashes
-- of their own until the last one is here: nobody ever sees a part.
--
-- KEYS  1 meta, 2.. one hash for each vector; in pieces, then one in which each vector waits
-- ARGV  1 to 3: changes.lua, 4 'create', 'restore' or 'put' (which leaves the rest of meta as it
--       is), 5 dtype ('f' or 'd'), 6 layout digest, 7 block ids with commas between,
--       8 numbers in each block with commas between, 9 further fields of meta and their
--       values, with commas between, 10 the name of a write in pieces, empty for a whole one,
--       11 the blocks in the pieces before this one, 12 'more' if others follow, else 'last',
--       13.. the values of KEYS 2.., packed
-- Reply {answer, layout digest stored here}
--   CREATED  written
--   MORE     the piece waits for the others
--   EXISTS   the run was here; nothing changed
--   FENCED   a newer fence is here; nothing changed
--   BEHIND   to put: an older fence is here, or not the change of ARGV 2; nothing changed
--   NOMODEL  nothing is here beside which to put a vector
--   LOST     the pieces before this one are not here; nothing changed
-- Error BADCREATE: lengths do not add up; nothing changed.

local why, head = standing('layout')
local stored = head[3]
local mode, write, before, more = ARGV[4], ARGV[10], tonumber(ARGV[11]), ARGV[12] == 'more'
if mode == 'create' and stored then return { 'EXISTS', stored } end
if mode == 'put' and not stored then return { 'NOMODEL', '' } end
if why == 'FENCED' or (mode == 'put' and why) then return { why, stored or '' } end

local n = write == '' and #KEYS - 1 or (#KEYS - 1) / 2
local dtype, ids, numbers = ARGV[5], split(ARGV[7]), split(ARGV[8])
local total = 0
for i = 1, #ids do total = total + tonumber(numbers[i]) * WIDTH[dtype] end
for k = 2, n + 1 do
  if #ARGV[k + 11] ~= total then
    return redis.error_reply('BADCREATE ' .. #ARGV[k + 11] .. ' bytes given, ' .. total .. ' needed')
  end
end

local others = {}
if write ~= '' then
  for k = 2, n + 1 do
    local head = redis.call('HMGET', KEYS[k + n], 'fence', 'write')
    if head[1] and tonumber(head[1]) > tonumber(ARGV[1]) then return { 'FENCED', stored or '' } end
    others[k] = head[2] ~= write
    if before > 0 and (others[k] or redis.call('HLEN', KEYS[k + n]) < before + 2) then
      return { 'LOST', '' }
    end
  end
end

local function blocks_of(k)
  local blocks, at = {}, 1
  for i = 1, #ids do
    local bytes = tonumber(numbers[i]) * WIDTH[dtype]
    blocks[i] = string.sub(ARGV[k + 11], at, at + bytes - 1)
    at = at + bytes
  end
  return blocks
end

-- First what needs memory: where there is none, the script ends here and nothing changed.
if more then
  for k = 2, n + 1 do
    local waiting = KEYS[k + n]
    redis.call('HSET', waiting, 'fence', ARGV[1])
    if others[k] then redis.call('DEL', waiting) end
    redis.call('HSET', waiting, 'fence', ARGV[1], 'write', write)
    write_blocks(waiting, ids, blocks_of(k))
  end
  return { 'MORE', stored or '' }
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
redis.call('DEL', unpack(KEYS, mode == 'put' and 2 or 1, n + 1))
for k = 2, n + 1 do
  if before > 0 then
    redis.call('COPY', KEYS[k + n], KEYS[k])
    redis.call('UNLINK', KEYS[k + n])
    redis.call('HDEL', KEYS[k], 'fence', 'write')
  end
  write_blocks(KEYS[k], ids, blocks_of(k))
end
if mode == 'put' then
  note_change(head)
else
  redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'change', ARGV[3], 'dtype', dtype,
    'layout', ARGV[6], unpack(split(ARGV[9])))
end
return { 'CREATED', ARGV[6] }
