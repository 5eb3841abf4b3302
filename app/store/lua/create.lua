-- Write whole vectors of a shard: the first ones, unless the run is here already (a late or
-- restarted process can never reset a training); those of a checkpoint, in place of all that
-- is here; or one more beside what is here.
--
-- KEYS  1 meta, 2.. one hash for each vector
-- ARGV  1 fence, 2 'create', 'restore' or 'put' (which leaves meta as it is),
--       3 dtype ('f' or 'd'), 4 layout digest, 5 block ids with commas between,
--       6 numbers in each block with commas between, 7 further fields of meta and their
--       values, with commas between, 8.. the values of KEYS 2.., packed
-- Reply {answer, layout digest stored here}
--   CREATED  written
--   EXISTS   the run was here; nothing changed
--   FENCED   another fence is here (to restore: a newer one); nothing changed
--   NOMODEL  nothing is here beside which to put a vector
-- Error BADCREATE: lengths do not add up; nothing changed.

local fence, stored = unpack(redis.call('HMGET', KEYS[1], 'fence', 'layout'))
local mode = ARGV[2]
if mode == 'create' and stored then return { 'EXISTS', stored } end
if mode == 'put' and not stored then return { 'NOMODEL', '' } end
if fence and (tonumber(fence) > tonumber(ARGV[1]) or mode == 'put' and fence ~= ARGV[1]) then
  return { 'FENCED', stored or '' }
end

local dtype, ids, numbers = ARGV[3], split(ARGV[5]), split(ARGV[6])
local total = 0
for i = 1, #ids do total = total + tonumber(numbers[i]) * WIDTH[dtype] end
for k = 2, #KEYS do
  if #ARGV[k + 6] ~= total then
    return redis.error_reply('BADCREATE ' .. #ARGV[k + 6] .. ' bytes given, ' .. total .. ' needed')
  end
end

-- First what needs memory: where there is none, the script ends here and nothing changed.
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
redis.call('DEL', unpack(KEYS, mode == 'put' and 2 or 1))
for k = 2, #KEYS do
  local blocks, at = {}, 1
  for i = 1, #ids do
    local bytes = tonumber(numbers[i]) * WIDTH[dtype]
    blocks[i] = string.sub(ARGV[k + 6], at, at + bytes - 1)
    at = at + bytes
  end
  write_blocks(KEYS[k], ids, blocks)
end
if mode ~= 'put' then
  redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'dtype', dtype, 'layout', ARGV[4],
    unpack(split(ARGV[7])))
end
return { 'CREATED', ARGV[4] }
