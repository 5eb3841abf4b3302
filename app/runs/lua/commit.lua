-- Commit what a driver knows, if its fence is still the run's.
--
-- KEYS  1 run record, 2 state
-- ARGV  1 fence, 2 state (JSON)
-- Reply OK, LOST (another coordinator has taken the run), or GONE (the server lost the run)

local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return 'GONE' end
if fence ~= ARGV[1] then return 'LOST' end
redis.call('SET', KEYS[2], ARGV[2])
return 'OK'
