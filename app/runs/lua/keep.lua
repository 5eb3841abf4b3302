-- Keep the lease on a run, and tell how it stands.
--
-- KEYS  1 run record
-- ARGV  1 claimer, 2 status (JSON)
-- Reply {answer, whether somebody asked to stop (1 or 0)}
--   OK
--   LOST  another coordinator has taken the run
--   GONE  the control server does not know the run: it lost its data

local claimer, lease, stop = unpack(redis.call('HMGET', KEYS[1], 'claimer', 'lease', 'stop'))
if not claimer then return { 'GONE', 0 } end
if claimer ~= ARGV[1] then return { 'LOST', 0 } end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'expires', now + tonumber(lease), 'status', ARGV[2])
return { 'OK', tonumber(stop or 0) }
