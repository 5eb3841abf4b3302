-- End a run, or leave it to be resumed: no unit of it can be claimed, renewed or reported.
--
-- KEYS  1 run record, 2 wakeup
-- ARGV  1 claimer, 2 state ('finished', 'stopped' or 'failed'), 3 outcome (JSON)
-- Reply OK (also when asked again), LOST (another coordinator has taken the run), or GONE
--       (the server lost the run)

local claimer = redis.call('HGET', KEYS[1], 'claimer')
if not claimer then return 'GONE' end
if claimer ~= ARGV[1] then return 'LOST' end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'outcome', ARGV[3], 'expires', 0, 'ended', now)
redis.call('UNLINK', KEYS[2])
return 'OK'
