-- Renew a lease.
--
-- KEYS  1 run record, 2 unit
-- ARGV  1 fence, 2 attempt
-- Reply OK, or LOST: somebody else has the unit, or the run has ended or has another fence

local run = redis.call('HMGET', KEYS[1], 'state', 'fence')
local unit = redis.call('HMGET', KEYS[2], 'state', 'attempt', 'lease', 'fence')
if run[1] ~= 'running' or run[2] ~= ARGV[1] or unit[4] ~= ARGV[1] or unit[1] ~= 'leased'
  or unit[2] ~= ARGV[2] then return 'LOST' end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[2], 'expires', now + tonumber(unit[3]))
return 'OK'
