-- Write point + step * direction over a range of blocks, kept in one orthant (Andrew & Gao 2007,
-- sec. 3.2): a covered number stops at zero rather than change its sign, and leaves zero only
-- against its pseudo-gradient. Others move freely.
--
-- KEYS  1 meta, 2 the vector to write, 3 the point, 4 its pseudo-gradient, 5 the direction
-- ARGV  1 fence, 2 first and 3 last block, 4 stretches of numbers that the L1 term covers,
--       'first:end,first:end' counted from 0 at the range's beginning, 5 the step, positive
-- Reply one of
--   OK       written
--   REFUSED  a number would not be finite; nothing was written
--   FENCED, NOMODEL (also for a vector that is not there)

local head = redis.call('HMGET', KEYS[1], 'fence', 'dtype')
if not head[1] then return 'NOMODEL' end
if head[1] ~= ARGV[1] then return 'FENCED' end

local ids, step = range(ARGV[2], ARGV[3]), tonumber(ARGV[5])
local inputs = { KEYS[3], KEYS[4], KEYS[5] }
local new = walk(inputs, ids, head[2], ARGV[4], function(values, covered, count)
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
return 'OK'
