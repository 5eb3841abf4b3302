-- Write point + step * direction over a range of blocks, kept in one orthant (Andrew & Gao 2007,
-- sec. 3.2): a covered number stops at zero rather than change its sign, and leaves zero only
-- against its pseudo-gradient. Others move freely.
--
-- KEYS  1 meta, 2 the vector to write, 3 the point, 4 its pseudo-gradient, 5 the direction
-- ARGV  1 to 3: changes.lua, 4 first and 5 last block, 6 stretches of numbers that the L1 term covers,
--       'first:end,first:end' counted from 0 at the range's beginning, 7 the step, positive
-- Reply one of
--   OK       written
--   REFUSED  a number would not be finite; nothing was written
--   FENCED, BEHIND, NOMODEL (also for a vector that is not there)

local why, head = standing('dtype')
if why then return why end

local ids, step = range(ARGV[4], ARGV[5]), tonumber(ARGV[7])
local inputs = { KEYS[3], KEYS[4], KEYS[5] }
local new = walk(inputs, ids, head[3], ARGV[6], function(values, covered, count)
  local x, v, d = values[1], values[2], values[3]
  for j = 1, count do
    local old, now = x[j], x[j] + step * d[j]
    if covered[j] then
      -- The sign that it may have: a zero that has no pseudo-gradient may have none.
      local sign = old ~= 0 and old or -v[j]
      if not ((sign > 0 and now > 0) or (sign < 0 and now < 0)) then now = 0 end
    end
    x[j] = now
  end
  return x
end)
if not new then return new == nil and 'NOMODEL' or 'REFUSED' end
write_blocks(KEYS[2], ids, new)
note_change(head)
return 'OK'
