-- Announce a new attempt at a stream: from now on pushes of older attempts are FENCED.
--
-- KEYS  1 meta
-- ARGV  1 fence, 2 stream, 3 attempt
-- Reply {answer, clock, sequence}: the shard's clock, the last sequence of this stream
--   OK, FENCED (a newer attempt or fence is here), BEHIND (an older fence), NOMODEL

local head = redis.call('HMGET', KEYS[1], 'fence', 'clock', 'attempt:' .. ARGV[2], 'seq:' .. ARGV[2])
if not head[1] then return { 'NOMODEL', 0, 0 } end
local clock, last = tonumber(head[2]), tonumber(head[4] or 0)
if tonumber(head[1]) < tonumber(ARGV[1]) then return { 'BEHIND', clock, last } end
if tonumber(head[1]) > tonumber(ARGV[1]) or tonumber(ARGV[3]) < tonumber(head[3] or 0) then
  return { 'FENCED', clock, last }
end
redis.call('HSET', KEYS[1], 'attempt:' .. ARGV[2], ARGV[3])
return { 'OK', clock, last }
