-- Claim a unit of work: granted if nobody holds a live lease on it.
--
-- KEYS  1 run record, 2 unit
-- ARGV  1 claimer (unique to this execution of the task)
-- Reply {answer, fence, attempt, length of the lease in ms, specification}
--   GRANTED  with a new attempt number; or again, to the claimer that holds the lease
--   HELD     somebody else holds a live lease
--   DONE     the unit is finished
--   GONE     the run has ended, it does not know the unit (any more), or the unit was
--            entered under another fence
-- The server's clock decides, never a worker's. If it was set back meanwhile, a lease ends later
-- than one that begins now: it has run out, for else nobody could have the unit for as long.

local run = redis.call('HMGET', KEYS[1], 'state', 'fence')
local unit = redis.call('HMGET', KEYS[2], 'state', 'owner', 'expires', 'attempt', 'lease',
  'specification', 'fence')
local state, owner, expires, attempt, lease, specification, fence = unpack(unit)
if run[1] ~= 'running' or not state or fence ~= run[2] then return { 'GONE', 0, 0, 0, '' } end
if state == 'done' then return { 'DONE', 0, 0, 0, '' } end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(expires or 0) - now
if state == 'leased' and left > 0 and left <= tonumber(lease) then
  if owner ~= ARGV[1] then return { 'HELD', 0, 0, 0, '' } end
else
  attempt = redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('HINCRBY', KEYS[2], 'tries', 1)
  redis.call('HSET', KEYS[2], 'state', 'leased', 'owner', ARGV[1], 'attempt', attempt,
    'expires', now + tonumber(lease))
end
return { 'GRANTED', tonumber(run[2]) or 0, tonumber(attempt) or 0, tonumber(lease),
  specification or '' }
