-- Report a unit done or failed; only the attempt that holds it may.
--
-- KEYS  1 run record, 2 unit, 3 wakeup
-- ARGV  1 fence, 2 attempt, 3 'done' or 'failed', 4 report, 5 the unit's name
-- Reply OK (also to the same report sent again), or LOST: another attempt holds the unit,
--       or the run has ended

local run = redis.call('HMGET', KEYS[1], 'state', 'fence')
local unit = redis.call('HMGET', KEYS[2], 'state', 'attempt', 'fence')
if run[1] ~= 'running' or run[2] ~= ARGV[1] or unit[3] ~= ARGV[1] or unit[2] ~= ARGV[2] then
  return 'LOST'
end
if unit[1] == 'leased' then
  redis.call('HSET', KEYS[2], 'state', ARGV[3], 'report', ARGV[4])
  redis.call('RPUSH', KEYS[3], ARGV[5])
end
return 'OK'
