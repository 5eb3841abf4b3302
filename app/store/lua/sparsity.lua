-- How large the numbers that the L1 term covers are together, and how many of them are not zero,
-- over a range of blocks.
--
-- KEYS  1 meta, 2 a vector
-- ARGV  1 to 3: changes.lua, 4 first and 5 last block, 6 stretches of numbers that the term covers,
--       'first:end,first:end' counted from 0 at the range's beginning
-- Reply {answer, two packed doubles: the sum of their absolute values, how many are not zero}
--   OK, FENCED, BEHIND, NOMODEL (also if the vector is not there)
-- Summed from the first number of the range to the last, in double.

local why, head = standing('dtype')
if why then return { why, '' } end

local sum, nonzeros, ids = 0, 0, range(ARGV[4], ARGV[5])
local there = walk({ KEYS[2] }, ids, head[3], ARGV[6], function(values, covered, count)
  local x = values[1]
  for j = 1, count do
    if covered[j] and x[j] ~= 0 then
      sum, nonzeros = sum + math.abs(x[j]), nonzeros + 1
    end
  end
end)
if not there then return { 'NOMODEL', '' } end
return { 'OK', struct.pack('<dd', sum, nonzeros) }
