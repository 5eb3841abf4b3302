-- Keep the lease on a run, and tell how it stands.
--
-- KEYS  1 run record
-- ARGV  1 claimer, 2 status (JSON)
-- Reply {answer, whether somebody asked to stop (1 or 0), the run's fence, its state}
--   OK
--   LOST  another coordinator has taken the run
--   GONE  the control server does not know the run: it lost its data

local record = redis.call('HMGET', KEYS[1], 'claimer', 'lease', 'stop', 'fence', 'state')
local claimer, lease, stop, fence, state = unpack(record)
if not claimer then return { 'GONE', 0, '', '' } end
if claimer ~= ARGV[1] then return { 'LOST', 0, '', '' } end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'expires', now + tonumber(lease), 'status', ARGV[2])
return { 'OK', stop and stop ~= '0' and 1 or 0, fence or '', state or '' }
