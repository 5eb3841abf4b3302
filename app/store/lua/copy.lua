-- Copy vectors of a shard, all at one moment of its clock.
--
-- KEYS  1 meta, then pairs: a vector and the one that it is copied to
-- ARGV  1 fence
-- Reply {answer, meta}: its fields and values, one after another, as they stood then
--   OK, FENCED, NOMODEL (also for a vector that is not there; nothing was copied)

local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then return { 'NOMODEL', {} } end
if fence ~= ARGV[1] then return { 'FENCED', {} } end
for k = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[k]) == 0 then return { 'NOMODEL', {} } end
end
for k = 2, #KEYS, 2 do redis.call('COPY', KEYS[k], KEYS[k + 1], 'REPLACE') end
return { 'OK', redis.call('HGETALL', KEYS[1]) }
