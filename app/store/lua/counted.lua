-- Count the portions in the sum of an evaluation. From then on this shard is known to have had
-- them: that it was asked is a change like others.
--
-- KEYS  1 meta, 2 counted
-- ARGV  1 to 3: changes.lua, 4 evaluation
-- Reply {answer, portions}: OK (0 portions if another evaluation is the current one), FENCED,
--       BEHIND, NOMODEL

local why, head = standing('evaluation')
if why then return { why, 0 } end
note_change(head)
if tonumber(head[3] or 0) ~= tonumber(ARGV[4]) then return { 'OK', 0 } end
return { 'OK', redis.call('BITCOUNT', KEYS[2]) }
