-- Begin an evaluation: from now on portions of any other one are EXPIRED.
--
-- KEYS  1 meta, 2 counted (a bit for each portion), 3 the gradient to be summed
-- ARGV  1 fence, 2 evaluation
-- Reply OK (also when it was begun before: nothing is reset then), FENCED or NOMODEL, or
--       EXPIRED: a later evaluation has begun; evaluations are numbered upwards

local head = redis.call('HMGET', KEYS[1], 'fence', 'evaluation')
if not head[1] then return 'NOMODEL' end
if head[1] ~= ARGV[1] then return 'FENCED' end
local current, new = tonumber(head[2] or 0), tonumber(ARGV[2])
if new < current then return 'EXPIRED' end
if new > current then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'evaluation', ARGV[2])
end
return 'OK'
