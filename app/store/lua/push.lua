-- Push a dense gradient to a shard; the update rule that calls this is in push_<rule>.lua. It
-- calls push with rule(g, w, slots, count, rate, clock), which changes the numbers 1..count of
-- w and of each of slots, in place and one by one, given their gradient g. The clock is that
-- before this push.
--
-- KEYS  1 meta, 2 params, 3.. one hash for each slot of the rule
-- ARGV  1 to 4, 6, 9 to 11: protocol.lua,
--       5 '1' to return the fresh blocks,
--       7 block ids with commas between (may be empty), 8 their gradient, packed,
--       12.. further numbers of the rule
-- Reply {answer, clock, sequence, fresh}: the shard's clock and this stream's sequence
--       afterwards; fresh is the blocks of ARGV 7 as one string, empty unless asked for.
-- Error BADPUSH: unknown block, or a gradient of another length; BADARG: no such coding, or not for
--       these numbers; nothing changed.

local function push(rule)
  local ids = split(ARGV[7])
  local at, why = enter()
  if why and why ~= 'DUPLICATE' then return { why, at.clock, at.last, '' } end
  local coding = ARGV[11]
  local coded, unfit = is_coded(coding, at.dtype)
  if unfit then return redis.error_reply(unfit) end

  local function answer(name)
    local fresh = ''
    if ARGV[5] == '1' then
      fresh = table.concat(read_blocks(KEYS[2], ids))
      if coded then fresh = encoded(coding, fresh) end
    end
    return { name, at.clock, at.last, fresh }
  end

  if why then return answer(why) end

  -- Everything is read and checked before the first write: an error afterwards would
  -- leave half an update, because Redis does not roll a script back.
  local n_slots = #KEYS - 2
  local old, new = {}, {}
  for k = 0, n_slots do
    old[k], new[k] = read_blocks(KEYS[2 + k], ids), {}
  end
  local total = 0
  for i = 1, #ids do
    for k = 0, n_slots do
      if not old[k][i] or #old[k][i] ~= #old[0][i] then
        return redis.error_reply('BADPUSH block ' .. ids[i] .. ' is not stored here in full')
      end
    end
    total = total + #old[0][i]
  end
  local gradient, needed = ARGV[8], coded and coded_bytes(coding, total / 4) or total
  if #gradient ~= needed then
    return redis.error_reply('BADPUSH ' .. #gradient .. ' bytes of gradient for ' .. total
      .. ' bytes of parameters')
  end
  if coded then gradient = decoded(coding, gradient, total / 4) end

  local rate, dtype = rate_of(at), at.dtype
  local width, limit, finite, offset = WIDTH[dtype], LIMIT[dtype], true, 1
  for i = 1, #ids do
    local pieces = {}
    for k = 0, n_slots do pieces[k] = {} end
    local numbers = #old[0][i] / width
    for first = 0, numbers - 1, RUN do
      local count = math.min(RUN, numbers - first)
      local shape, from = format(dtype, count), first * width + 1
      local g = { struct.unpack(shape, gradient, offset + first * width) }
      local values = {}
      for k = 0, n_slots do values[k] = { struct.unpack(shape, old[k][i], from) } end
      rule(g, values[0], values, count, rate, at.clock)
      for k = 0, n_slots do
        finite = finite and all_finite(values[k], count, limit)
        pieces[k][#pieces[k] + 1] = struct.pack(shape, unpack(values[k], 1, count))
      end
    end
    for k = 0, n_slots do new[k][i] = table.concat(pieces[k]) end
    offset = offset + #old[0][i]
  end

  if finite then
    for k = 0, n_slots do write_blocks(KEYS[2 + k], ids, new[k]) end
  end
  return answer(leave(at, finite))
end
