-- Copy vectors of a shard, all at one moment of its clock.
--
-- KEYS  1 meta, then pairs: a vector and the one that it is copied to
-- ARGV  1 to 3: changes.lua
-- Reply {answer, meta}: its fields and values, one after another, as they stood then
--   OK, FENCED, BEHIND, NOMODEL (also for a vector that is not there; nothing was copied)

local why, head = standing()
if why then return { why, {} } end
for k = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[k]) == 0 then return { 'NOMODEL', {} } end
end
for k = 2, #KEYS, 2 do redis.call('COPY', KEYS[k], KEYS[k + 1], 'REPLACE') end
note_change(head)
return { 'OK', redis.call('HGETALL', KEYS[1]) }
