-- Put down what a unit found that is too large for its report, before it is reported; only
-- the attempt that holds the unit may, so that what is taken away stays away.
--
-- KEYS  1 run record, 2 unit, 3 deposits
-- ARGV  1 fence, 2 attempt, 3 the unit's name, 4 bytes, 5 seconds after which blobs go that
--       nobody takes
-- Reply OK (also to the same blob put again), or LOST: another attempt holds the unit,
--       it was forgotten, or the run has ended

local run = redis.call('HMGET', KEYS[1], 'state', 'fence')
local unit = redis.call('HMGET', KEYS[2], 'state', 'attempt', 'fence')
if run[1] ~= 'running' or run[2] ~= ARGV[1] or unit[3] ~= ARGV[1] or unit[2] ~= ARGV[2]
  or unit[1] ~= 'leased' then
  return 'LOST'
end
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[5])
return 'OK'
