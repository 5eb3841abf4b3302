-- Shut everybody out of a run that is to be removed, under a new fence. What is left is a note
-- that it was, so that no coordinator which sleeps now brings the run back when it wakes.
--
-- KEYS  1 run record
-- ARGV  1 lowest fence
-- Reply {answer, fence, owner, ms since it took the run, ms since it was heard of}
--   DISCARDED  or again
--   HELD       somebody holds a live lease: nothing changed

local names = { 'fence', 'claimer', 'owner', 'since', 'expires', 'lease', 'state' }
local record = redis.call('HMGET', KEYS[1], unpack(names))
local fence, claimer, owner, since, expires, lease, state = unpack(record)

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(expires or 0) - now  -- more than a lease: the clock was set back
if state == 'running' and claimer and left > 0 and left <= tonumber(lease) then
  return { 'HELD', tonumber(fence) or 0, owner or '', math.max(0, now - tonumber(since)),
    tonumber(lease) - left }
end
fence = math.max(tonumber(fence or 0) + 1, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'fence', fence, 'state', 'removed')
redis.call('HDEL', KEYS[1], 'claimer', 'owner', 'lease', 'stop')
return { 'DISCARDED', fence, '', 0, 0 }
