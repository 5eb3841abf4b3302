-- Write the first values of a shard, unless the run is here already: a late or restarted
-- process can never reset a training.
--
-- KEYS  1 meta, 2 params, 3.. one hash for each slot
-- ARGV  1 fence, 2 dtype ('f' or 'd'), 3 layout digest, 4 block ids with commas between,
--       5 numbers in each block with commas between, 6.. the values of KEYS 2.., packed
-- Reply {answer, layout digest stored here}
--   CREATED  written
--   EXISTS   the run was here; nothing changed
-- Error BADCREATE: lengths do not add up; nothing changed.

local stored = redis.call('HGET', KEYS[1], 'layout')
if stored then return { 'EXISTS', stored } end

local dtype, ids, numbers = ARGV[2], split(ARGV[4]), split(ARGV[5])
local total = 0
for i = 1, #ids do total = total + tonumber(numbers[i]) * WIDTH[dtype] end
for k = 2, #KEYS do
  if #ARGV[k + 4] ~= total then
    return redis.error_reply('BADCREATE ' .. #ARGV[k + 4] .. ' bytes given, ' .. total .. ' needed')
  end
end

for k = 2, #KEYS do
  local blocks, at = {}, 1
  for i = 1, #ids do
    local bytes = tonumber(numbers[i]) * WIDTH[dtype]
    blocks[i] = string.sub(ARGV[k + 4], at, at + bytes - 1)
    at = at + bytes
  end
  write_blocks(KEYS[k], ids, blocks)
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'clock', 0, 'refused', 0, 'dtype', dtype,
  'layout', ARGV[3])
return { 'CREATED', ARGV[3] }
