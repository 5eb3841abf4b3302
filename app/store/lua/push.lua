-- The protocol of a push, shared by the update rules; a rule is in push_<rule>.lua. It calls
-- push with rule(g, w, slots, count, rate, clock), which changes the numbers 1..count of w and
-- of each of slots, in place and one by one, given their gradient g. The clock is that before
-- this push.
--
-- KEYS  1 meta, 2 params, 3.. one hash for each slot of the rule
-- ARGV  1 fence, 2 stream, 3 attempt, 4 sequence, 5 '1' to return the fresh blocks,
--       6 base: the updates of other streams that were here when the gradient's parameters
--       were fetched; the rate is divided by how many came since. Empty: it is not,
--       7 block ids with commas between (may be empty), 8 their gradient, packed,
--       9 rate, 10 decay of the rate, 11.. further numbers of the rule
-- Reply {answer, clock, sequence, fresh}: the shard's clock and this stream's sequence
--       afterwards; fresh is the blocks of ARGV 7 as one string, empty unless asked for.
--   APPLIED    the update was written and the clock advanced
--   DUPLICATE  this sequence was dealt with before; nothing changed
--   REFUSED    the update would write NaN or infinity: it is counted as refused, its
--              sequence is used up, and no parameter changed
--   GAP        sequences before this one are missing here; nothing changed
--   FENCED     the run's fence or the stream's attempt is not ours; nothing changed
--   NOMODEL    the run was never created here, or the server lost it
-- Error BADPUSH: unknown block, or a gradient of another length; nothing changed.

local function push(rule)
  local ids = split(ARGV[7])
  local stream, attempt, sequence = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
  local head = redis.call('HMGET', KEYS[1], 'fence', 'dtype', 'clock',
    'attempt:' .. stream, 'seq:' .. stream)
  if not head[1] then return { 'NOMODEL', 0, 0, '' } end
  local dtype, clock, last = head[2], tonumber(head[3]), tonumber(head[5] or 0)

  local function answer(name)
    local fresh = ''
    if ARGV[5] == '1' then fresh = table.concat(read_blocks(KEYS[2], ids)) end
    return { name, clock, last, fresh }
  end

  if head[1] ~= ARGV[1] or attempt < tonumber(head[4] or 0) then
    return { 'FENCED', clock, last, '' }
  end
  if sequence <= last then return answer('DUPLICATE') end
  if sequence > last + 1 then return { 'GAP', clock, last, '' } end

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
  local gradient = ARGV[8]
  if #gradient ~= total then
    return redis.error_reply('BADPUSH ' .. #gradient .. ' bytes of gradient for ' .. total
      .. ' bytes of parameters')
  end

  local rate, base = tonumber(ARGV[9]) / (1 + tonumber(ARGV[10]) * clock), tonumber(ARGV[6])
  if base then rate = rate / math.max(1, clock - last - base) end
  local width, limit, finite, offset = WIDTH[dtype], LIMIT[dtype], true, 1
  for i = 1, #ids do
    local pieces = {}
    for k = 0, n_slots do pieces[k] = {} end
    local numbers = #old[0][i] / width
    for first = 0, numbers - 1, RUN do
      local count = math.min(RUN, numbers - first)
      local shape, at = format(dtype, count), first * width + 1
      local g = { struct.unpack(shape, gradient, offset + first * width) }
      local values = {}
      for k = 0, n_slots do values[k] = { struct.unpack(shape, old[k][i], at) } end
      rule(g, values[0], values, count, rate, clock)
      for k = 0, n_slots do
        local v = values[k]
        for j = 1, count do
          local x = v[j]
          if not (x < limit and x > -limit) then finite = false end
        end
        pieces[k][#pieces[k] + 1] = struct.pack(shape, unpack(v, 1, count))
      end
    end
    for k = 0, n_slots do new[k][i] = table.concat(pieces[k]) end
    offset = offset + #old[0][i]
  end

  last = sequence
  if finite then
    clock = clock + 1
    for k = 0, n_slots do write_blocks(KEYS[2 + k], ids, new[k]) end
  else
    redis.call('HINCRBY', KEYS[1], 'refused', 1)
  end
  redis.call('HSET', KEYS[1], 'clock', clock, 'attempt:' .. stream, attempt, 'seq:' .. stream, last)
  return answer(finite and 'APPLIED' or 'REFUSED')
end
