-- Give a unit back unfinished: it is open again, and the try does not count.
--
-- KEYS  1 run record, 2 unit, 3 wakeup
-- ARGV  1 fence, 2 attempt, 3 the unit's name
-- Reply OK (also to the same release sent again), or LOST: another attempt holds the unit,
--       or the run has ended or has another fence

local run = redis.call('HMGET', KEYS[1], 'state', 'fence')
local unit = redis.call('HMGET', KEYS[2], 'state', 'attempt', 'fence')
if run[1] ~= 'running' or run[2] ~= ARGV[1] or unit[3] ~= ARGV[1] or unit[2] ~= ARGV[2] then
  return 'LOST'
end
if unit[1] == 'leased' then
  redis.call('HSET', KEYS[2], 'state', 'open')
  redis.call('HINCRBY', KEYS[2], 'tries', -1)
  redis.call('RPUSH', KEYS[3], ARGV[3])
end
return 'OK'
