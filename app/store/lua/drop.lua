-- Delete vectors of a shard; no error if they are not there.
--
-- KEYS  1 meta, 2.. vectors
-- ARGV  1 to 3: changes.lua
-- Reply OK (also where the run is not here), FENCED or BEHIND; nothing was deleted then

local why, head = standing()
if why and why ~= 'NOMODEL' then return why end
-- First what makes room: where there is no memory, this is how there will be some.
redis.call('UNLINK', unpack(KEYS, 2))
if not why then note_change(head) end
return 'OK'
