-- Shared by the scripts of OWL-QN, which treat the numbers that the L1 term covers otherwise.

-- Stretches of covered numbers, 'first:end,first:end', counted from 0 at the range's beginning.
local function stretches(text)
  local list = {}
  for first, after in string.gmatch(text, '(%d+):(%d+)') do
    list[#list + 1] = { tonumber(first), tonumber(after) }
  end
  return list
end

-- Walk over a range of blocks of the vectors under keys. visit(values, covered, count) is called
-- for each run of numbers, with a table of them for each vector and a table that is true where
-- the L1 term covers them. Returns nil if a block is not there, else the blocks of what the
-- visits returned, which is as many numbers, or nothing; false if one is not finite.
local function walk(keys, ids, dtype, text, visit)
  local blocks, new, list, passed = {}, {}, stretches(text), 0
  local width, limit = WIDTH[dtype], LIMIT[dtype]
  for v = 1, #keys do blocks[v] = read_blocks(keys[v], ids) end
  for i = 1, #ids do
    local bytes, pieces = blocks[1][i] and #blocks[1][i], {}
    for v = 1, #keys do
      if not blocks[v][i] or #blocks[v][i] ~= bytes then return nil end
    end
    for first = 0, bytes / width - 1, RUN do
      local count = math.min(RUN, bytes / width - first)
      local shape, values, covered = format(dtype, count), {}, {}
      for v = 1, #keys do values[v] = { struct.unpack(shape, blocks[v][i], first * width + 1) } end
      for s = 1, #list do
        local from, after = list[s][1] - passed, math.min(list[s][2] - passed, count)
        for j = math.max(from, 0) + 1, after do covered[j] = true end
      end
      passed = passed + count
      local made = visit(values, covered, count)
      if made then
        for j = 1, count do
          if not (made[j] < limit and made[j] > -limit) then return false end
        end
        pieces[#pieces + 1] = struct.pack(shape, unpack(made, 1, count))
      end
    end
    new[i] = table.concat(pieces)
  end
  return new
end
