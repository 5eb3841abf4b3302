-- Give the record of a run that has ended its own end: the server removes it then.
--
-- KEYS  1 run record
-- ARGV  1 claimer that ended the run, 2 ms from now
-- Reply OK, LOST (another coordinator has taken the run), or GONE (the server lost the run)

local claimer = redis.call('HGET', KEYS[1], 'claimer')
if not claimer then return 'GONE' end
if claimer ~= ARGV[1] then return 'LOST' end
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'goes', at)
redis.call('PEXPIREAT', KEYS[1], at)
return 'OK'
