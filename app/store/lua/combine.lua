-- Write a linear combination of vectors over a range of blocks. Copy, scale and fill are
-- cases of it: one term with 1, one term, none but the constant.
--
-- KEYS  1 meta, 2 the vector to write (none of the terms), 3.. the terms
-- ARGV  1 to 3: changes.lua, 4 first and 5 last block, 6 numbers in a block, 7 numbers in the
--       last block of the range, 8 constant, 9.. a coefficient for each term
-- Reply one of
--   OK       written: constant + c1 v1 + c2 v2 + ..., added in this order
--   REFUSED  a number would not be finite; nothing was written
--   FENCED, BEHIND, NOMODEL (also for a term that is not there)

local why, head = standing('dtype')
if why then return why end

local dtype, n_terms, constant = head[3], #KEYS - 2, tonumber(ARGV[8])
local width, limit = WIDTH[dtype], LIMIT[dtype]
local ids, terms, coefficients, new = range(ARGV[4], ARGV[5]), {}, {}, {}
for t = 1, n_terms do
  terms[t], coefficients[t] = read_blocks(KEYS[t + 2], ids), tonumber(ARGV[t + 8])
end
for i = 1, #ids do
  local numbers, pieces = tonumber(i < #ids and ARGV[6] or ARGV[7]), {}
  for t = 1, n_terms do
    if not terms[t][i] or #terms[t][i] ~= numbers * width then return 'NOMODEL' end
  end
  for first = 0, numbers - 1, RUN do
    local count = math.min(RUN, numbers - first)
    local shape, at, sum = format(dtype, count), first * width + 1, {}
    for j = 1, count do sum[j] = constant end
    for t = 1, n_terms do
      local c, v = coefficients[t], { struct.unpack(shape, terms[t][i], at) }
      for j = 1, count do sum[j] = sum[j] + c * v[j] end
    end
    for j = 1, count do
      if not (sum[j] < limit and sum[j] > -limit) then return 'REFUSED' end
    end
    pieces[#pieces + 1] = struct.pack(shape, unpack(sum, 1, count))
  end
  new[i] = table.concat(pieces)
end
write_blocks(KEYS[2], ids, new)
note_change(head)
return 'OK'
