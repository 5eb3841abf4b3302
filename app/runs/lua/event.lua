-- Add an event to a run's stream, of which the oldest go when there are too many.
--
-- KEYS  1 run record, 2 events
-- ARGV  1 about how many stay, 2 kind, 3 event (JSON)
-- Reply OK, or GONE: the run was removed from this server

if redis.call('HGET', KEYS[1], 'state') == 'removed' then return 'GONE' end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 'kind', ARGV[2], 'event', ARGV[3])
return 'OK'
