-- Give a vector of a shard another name, in place of what had that name: nothing is copied.
--
-- KEYS  1 meta, 2 the vector, 3 what it is called from now on
-- ARGV  1 to 3: changes.lua
-- Reply OK (also if this change was made before), FENCED, BEHIND, NOMODEL (also for a vector that
--       is not there; nothing changed)

local why, head = standing()
if why then return why end
if redis.call('EXISTS', KEYS[2]) == 0 then
  local made = tonumber(head[2] or 0) >= tonumber(ARGV[3])
  return made and redis.call('EXISTS', KEYS[3]) == 1 and 'OK' or 'NOMODEL'
end
-- Its memory is freed beside the server's work; RENAME alone would hold the server for it.
if KEYS[3] ~= KEYS[2] then redis.call('UNLINK', KEYS[3]) end
redis.call('RENAME', KEYS[2], KEYS[3])
note_change(head)
return 'OK'
