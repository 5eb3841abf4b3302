-- Dot products over a range of blocks; each block is read and unpacked once for all pairs.
--
-- KEYS  1 meta, 2.. vectors
-- ARGV  1 to 3: changes.lua, 4 first and 5 last block, 6 pairs 'i:j,i:j' of vectors counted from 1
-- Reply {answer, sums as packed doubles in the order of the pairs}
--   OK, FENCED, BEHIND, NOMODEL (also for a vector that is not there)
-- Summed from the first number of the range to the last, in double.

local why, head = standing('dtype')
if why then return { why, '' } end

local left, right, sums = {}, {}, {}
for i, j in string.gmatch(ARGV[6], '(%d+):(%d+)') do
  left[#left + 1], right[#right + 1], sums[#sums + 1] = tonumber(i), tonumber(j), 0
end
local dtype, n_vectors = head[3], #KEYS - 1
local ids, blocks = range(ARGV[4], ARGV[5]), {}
for v = 1, n_vectors do blocks[v] = read_blocks(KEYS[v + 1], ids) end
for i = 1, #ids do
  local bytes = blocks[1][i] and #blocks[1][i]
  for v = 1, n_vectors do
    if not blocks[v][i] or #blocks[v][i] ~= bytes then return { 'NOMODEL', '' } end
  end
  local numbers = bytes / WIDTH[dtype]
  for first = 0, numbers - 1, RUN do
    local count = math.min(RUN, numbers - first)
    local shape, at, values = format(dtype, count), first * WIDTH[dtype] + 1, {}
    for v = 1, n_vectors do values[v] = { struct.unpack(shape, blocks[v][i], at) } end
    for p = 1, #sums do
      local a, b, sum = values[left[p]], values[right[p]], sums[p]
      for j = 1, count do sum = sum + a[j] * b[j] end
      sums[p] = sum
    end
  end
end
local packed = {}
for p = 1, #sums do packed[p] = struct.pack('<d', sums[p]) end
return { 'OK', table.concat(packed) }
