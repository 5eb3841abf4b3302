-- Delete vectors of a shard; no error if they are not there.
--
-- KEYS  1 meta, 2.. vectors
-- ARGV  1 fence
-- Reply OK, or FENCED: they belong to another coordinator by now; nothing was deleted

local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and fence ~= ARGV[1] then return 'FENCED' end
redis.call('UNLINK', unpack(KEYS, 2))
return 'OK'
