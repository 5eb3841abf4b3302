-- Begin an evaluation: from now on portions of any other one are EXPIRED.
--
-- KEYS  1 meta, 2 counted (a bit for each portion), 3 the gradient to be summed
-- ARGV  1 to 3: changes.lua, 4 evaluation
-- Reply OK (also when it was begun before: nothing is reset then), FENCED, BEHIND or NOMODEL,
--       or EXPIRED: a later evaluation has begun; evaluations are numbered upwards

local why, head = standing('evaluation')
if why then return why end
local current, new = tonumber(head[3] or 0), tonumber(ARGV[4])
if new < current then return 'EXPIRED' end
if new > current then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'evaluation', ARGV[4])
end
note_change(head)
return 'OK'
