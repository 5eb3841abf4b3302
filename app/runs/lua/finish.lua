-- Report a unit done or failed; only the attempt that holds it may.
--
-- KEYS  1 run record, 2 unit, 3 wakeup
-- ARGV  1 attempt, 2 'done' or 'failed', 3 report
-- Reply OK (also to the same report sent again), or LOST: another attempt holds the unit,
--       or the run has ended

local unit = redis.call('HMGET', KEYS[2], 'state', 'attempt')
if redis.call('HGET', KEYS[1], 'state') ~= 'running' or unit[2] ~= ARGV[1] then return 'LOST' end
if unit[1] == 'leased' then
  redis.call('HSET', KEYS[2], 'state', ARGV[2], 'report', ARGV[3])
  redis.call('RPUSH', KEYS[3], '1')
end
return 'OK'
