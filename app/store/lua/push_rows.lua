-- Push the gradient of some rows of tables to a shard. The same update rules call this as
-- push.lua: push(rule, first), where first(w, slots, count), if there is one, gives the slots
-- beside new numbers w; otherwise they begin at zero.
--
-- A block that is not here yet comes into being with the numbers that the seed draws for it:
-- whoever touches it first, it begins the same (twin: app/layout/draws.py).
--
-- KEYS  1 meta, 2 params, 3.. one hash for each slot of the rule
-- ARGV  1 to 4, 6, 9 to 11: protocol.lua (not int8),
--       5 not used,
--       7 the tables, as tables.lua has them,
--       8 for each table the rows, then their gradient, packed,
--       12.. further numbers of the rule
-- Reply {answer, clock, sequence, ''}: as push.lua
-- Error BADPUSH: another length; BADARG: no such coding, or not for these numbers; nothing changed.

local PRIME = 67108859

local function cubed(x)
  x = x % PRIME
  return (x * x % PRIME) * x % PRIME
end

-- The first numbers of a block: those of its rows, from number `from` of the table on.
local function draw(table_, from, count)
  local values = {}
  if table_.spread == 0 then
    for i = 1, count do values[i] = 0 end
    return values
  end
  for i = 1, count do
    local index = from + i - 1
    local high = math.floor(index / PRIME)
    local mixed = cubed(index - high * PRIME + table_.keys[1])
    mixed = cubed(mixed + high + table_.keys[2])
    mixed = cubed(cubed(mixed + table_.keys[3]) + table_.keys[4])
    values[i] = table_.spread * (mixed * 2 / PRIME - 1)
  end
  return values
end

local function push(rule, first)
  local at, why = enter()
  if why then return { why, at.clock, at.last, '' } end
  local coding = ARGV[11]
  local coded, unfit = is_coded(coding, at.dtype)
  if coding == 'int8' then unfit = unfit or 'BADARG int8 is not for rows' end
  if unfit then return redis.error_reply(unfit) end

  local tables, payload, dtype = tables_of(ARGV[7]), ARGV[8], at.dtype
  local bytes, needed = WIDTH[dtype], 0
  local given = coded and coded_bytes(coding, 1) or bytes -- of a number of the gradient
  for _, t in ipairs(tables) do needed = needed + t.count * (4 + t.width * given) end
  if #payload ~= needed then
    return redis.error_reply('BADPUSH ' .. #payload .. ' bytes of rows, ' .. needed .. ' needed')
  end

  -- Nothing is written before everything is computed: Redis does not roll a script back.
  local n_slots, rate, limit = #KEYS - 2, rate_of(at), LIMIT[dtype]
  local finite, offset = true, 1
  local changed, new = {}, {}
  for k = 0, n_slots do new[k] = {} end

  local function create(t, block)
    local count = t.rows * t.width
    local w, slots = draw(t, block * count, count), {}
    for k = 1, n_slots do
      slots[k] = {}
      for i = 1, count do slots[k][i] = 0 end
    end
    if first then first(w, slots, count) end
    local shape, created = format(dtype, count), { [0] = w, unpack(slots) }
    for k = 0, n_slots do created[k] = struct.pack(shape, unpack(created[k], 1, count)) end
    return created
  end

  local function update(t, row, block, stored)
    local shape, from = format(dtype, t.width), (row - block * t.rows) * t.width * bytes + 1
    local to = from + t.width * bytes
    local from_here, start = payload, offset
    if coded then
      local part = string.sub(payload, offset, offset + t.width * given - 1)
      from_here, start = decoded(coding, part, t.width), 1
    end
    local g, values = { struct.unpack(shape, from_here, start) }, {}
    for k = 0, n_slots do values[k] = { struct.unpack(shape, stored[k], from) } end
    rule(g, values[0], values, t.width, rate, at.clock)
    for k = 0, n_slots do
      finite = finite and all_finite(values[k], t.width, limit)
      local packed = struct.pack(shape, unpack(values[k], 1, t.width))
      stored[k] = string.sub(stored[k], 1, from - 1) .. packed .. string.sub(stored[k], to)
    end
    offset = offset + t.width * given
  end

  for _, t in ipairs(tables) do
    local rows, blocks, ids = rows_of(t, payload, offset)
    offset = offset + 4 * t.count
    local old = {}
    for k = 0, n_slots do old[k] = read_blocks(KEYS[2 + k], ids) end
    local i = 1
    for j, block in ipairs(blocks) do
      local stored = {}
      for k = 0, n_slots do stored[k] = old[k][j] end
      if not stored[0] then stored = create(t, block) end
      for k = 0, n_slots do
        if not stored[k] or #stored[k] ~= t.rows * t.width * bytes then
          return redis.error_reply('BADPUSH block ' .. ids[j] .. ' is not stored here in full')
        end
      end
      while rows[i] and math.floor(rows[i] / t.rows) == block do
        update(t, rows[i], block, stored)
        i = i + 1
      end
      changed[#changed + 1] = ids[j]
      for k = 0, n_slots do new[k][#changed] = stored[k] end
    end
  end

  if finite then
    for k = 0, n_slots do write_blocks(KEYS[2 + k], changed, new[k]) end
  end
  return { leave(at, finite), at.clock, at.last, '' }
end
