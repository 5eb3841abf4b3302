-- Write the pseudo-gradient of a loss with an L1 term over a range of blocks: the gradient plus
-- that end of the term's subgradient which is nearest to making it zero (Andrew & Gao 2007,
-- eq. 4).
--
-- KEYS  1 meta, 2 the vector to write, 3 the point, 4 the gradient of the loss without the term
-- ARGV  1 fence, 2 first and 3 last block, 4 stretches of numbers that the term covers,
--       'first:end,first:end' counted from 0 at the range's beginning, 5 the term's factor
-- Reply one of
--   OK       written
--   REFUSED  a number would not be finite; nothing was written
--   FENCED, NOMODEL (also for a vector that is not there)

local head = redis.call('HMGET', KEYS[1], 'fence', 'dtype')
if not head[1] then return 'NOMODEL' end
if head[1] ~= ARGV[1] then return 'FENCED' end

local ids, l1 = range(ARGV[2], ARGV[3]), tonumber(ARGV[5])
local new = walk({ KEYS[3], KEYS[4] }, ids, head[2], ARGV[4], function(values, covered, count)
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
return 'OK'
