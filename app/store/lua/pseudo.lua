-- Write the pseudo-gradient of a loss with an L1 term over a range of blocks: the gradient plus
-- that end of the term's subgradient which is nearest to making it zero (Andrew & Gao 2007,
-- eq. 4).
--
-- KEYS  1 meta, 2 the vector to write, 3 the point, 4 the gradient of the loss without the term
-- ARGV  1 to 3: changes.lua, 4 first and 5 last block, 6 stretches of numbers that the term covers,
--       'first:end,first:end' counted from 0 at the range's beginning, 7 the term's factor
-- Reply one of
--   OK       written
--   REFUSED  a number would not be finite; nothing was written
--   FENCED, BEHIND, NOMODEL (also for a vector that is not there)

local why, head = standing('dtype')
if why then return why end

local ids, l1 = range(ARGV[4], ARGV[5]), tonumber(ARGV[7])
local new = walk({ KEYS[3], KEYS[4] }, ids, head[3], ARGV[6], function(values, covered, count)
  local x, g = values[1], values[2]
  for j = 1, count do
    if covered[j] then
      local up, down = g[j] + l1, g[j] - l1
      if x[j] > 0 or (x[j] == 0 and up < 0) then
        g[j] = up
      elseif x[j] < 0 or down > 0 then
        g[j] = down
      else
        g[j] = 0
      end
    end
  end
  return g
end)
if not new then return new == nil and 'NOMODEL' or 'REFUSED' end
write_blocks(KEYS[2], ids, new)
note_change(head)
return 'OK'
