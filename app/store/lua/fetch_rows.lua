-- Read some rows of tables from a vector, and where the shard stood at that moment.
--
-- KEYS  1 meta, 2 the vector
-- ARGV  1 and 2: behind.lua, 3 stream, 4 the tables, as tables.lua has them, 5 for each table
--       the rows
-- Reply {answer, clock, sequence, there, values}: the shard's clock, the last sequence of this
--       stream, for each row a byte, which is 1 if its block is here and 0 if nobody has touched
--       that yet, and the rows one after another, with zeros for those that are not here
--   OK, BEHIND (it has an older fence, or not that change), NOMODEL (also for a vector that is not
--   here)
-- Error BADFETCH: another length, or a block that is not stored in full.

local head = redis.call('HMGET', KEYS[1], 'fence', 'change', 'clock', 'seq:' .. ARGV[3], 'dtype')
if is_behind(head[1], head[2]) then return { 'BEHIND', 0, 0, '', '' } end
if not head[3] or not redis.call('HGET', KEYS[2], 'rows') then
  return { 'NOMODEL', 0, 0, '', '' }
end

local tables, payload, needed = tables_of(ARGV[4]), ARGV[5], 0
for _, t in ipairs(tables) do needed = needed + 4 * t.count end
if #payload ~= needed then
  return redis.error_reply('BADFETCH ' .. #payload .. ' bytes of rows, ' .. needed .. ' needed')
end

local there, values, offset = {}, {}, 1
for _, t in ipairs(tables) do
  local rows, blocks, ids = rows_of(t, payload, offset)
  local stored, bytes, j = read_blocks(KEYS[2], ids), t.width * WIDTH[head[5]], 1
  local nothing = string.rep('\0', bytes)
  offset = offset + 4 * t.count
  for i = 1, #ids do
    if stored[i] and #stored[i] ~= t.rows * bytes then
      return redis.error_reply('BADFETCH block ' .. ids[i] .. ' is not stored here in full')
    end
  end
  for _, row in ipairs(rows) do
    if math.floor(row / t.rows) ~= blocks[j] then j = j + 1 end
    local from = (row - blocks[j] * t.rows) * bytes
    there[#there + 1] = stored[j] and '\1' or '\0'
    values[#values + 1] = stored[j] and string.sub(stored[j], from + 1, from + bytes) or nothing
  end
end
local n, last = tonumber(head[3]), tonumber(head[4] or 0)
return { 'OK', n, last, table.concat(there), table.concat(values) }
