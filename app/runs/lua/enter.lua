-- Enter a unit of work, in place of one that was entered under an older fence.
--
-- KEYS  1 unit, 2 names of the units, 3 run record
-- ARGV  1 fence, 2 name, 3 specification (JSON), 4 length of its leases in ms
-- Reply ENTERED; THERE (it was entered under this fence or a newer one, nothing changed), or GONE
--       (the run was removed from this server)

if redis.call('HGET', KEYS[3], 'state') == 'removed' then return 'GONE' end
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and tonumber(fence) >= tonumber(ARGV[1]) then return 'THERE' end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'specification', ARGV[3], 'lease', ARGV[4],
  'state', 'open', 'tries', 0, 'attempt', 0, 'owner', '', 'expires', 0, 'report', '')
redis.call('SADD', KEYS[2], ARGV[2])
return 'ENTERED'
