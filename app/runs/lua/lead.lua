-- Take a run as its coordinator: granted if nobody holds a live lease on it, under a new
-- fence. What was entered or committed under the old one is refused from then on.
--
-- KEYS  1 run record
-- ARGV  1 claimer (unique to this request), 2 the claimer that it replaces ('' for none),
--       3 '1' to take the run from whoever holds it, 4 owner (JSON, for people),
--       5 length of the lease in ms, 6 lowest fence, 7 document (JSON)
-- Reply {answer, fence, owner, ms since it took the run, ms since it was heard of}
--   GRANTED   or again, to the claimer that holds the lease
--   HELD      somebody else holds a live lease
--   FINISHED  the run is over for good
--   REMOVED   it was taken off the servers, or that has begun. Where it was, a request that
--             replaces none may begin it again

local names = { 'fence', 'claimer', 'owner', 'since', 'expires', 'lease', 'state', 'document' }
local record = redis.call('HMGET', KEYS[1], unpack(names))
local fence, claimer, owner, since, expires, lease, state, document = unpack(record)
if state == 'finished' then return { 'FINISHED', 0, '', 0, 0 } end
if state == 'removed' and (document or ARGV[2] ~= '') then return { 'REMOVED', 0, '', 0, 0 } end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(expires or 0) - now  -- more than a lease: the clock was set back
if claimer and left > 0 and left <= tonumber(lease) and ARGV[3] ~= '1'
  and claimer ~= ARGV[1] and claimer ~= ARGV[2] then
  return { 'HELD', tonumber(fence) or 0, owner or '', math.max(0, now - tonumber(since)),
    tonumber(lease) - left }
end
if claimer ~= ARGV[1] then
  fence = math.max(tonumber(fence or 0) + 1, tonumber(ARGV[6]))
  if claimer ~= ARGV[2] then
    since = now
    redis.call('HDEL', KEYS[1], 'stop')  -- it was the coordinator before who was asked
  end
end
redis.call('HSET', KEYS[1], 'document', ARGV[7], 'state', 'running', 'fence', fence,
  'claimer', ARGV[1], 'owner', ARGV[4], 'since', since, 'lease', ARGV[5],
  'expires', now + tonumber(ARGV[5]))
redis.call('HDEL', KEYS[1], 'outcome', 'ended')
if redis.call('HDEL', KEYS[1], 'goes') == 1 then redis.call('PERSIST', KEYS[1]) end
return { 'GRANTED', tonumber(fence), ARGV[4], 0, 0 }
