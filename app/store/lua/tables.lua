-- Rows of tables, shared by the scripts that are about some.
--
-- ARGV  the tables, of each nine numbers, with commas between: the id of its first block, numbers
--       in a row, rows in a block, spread, four keys, how many rows follow;
--       the rows of each, 4 bytes each and ascending

local function tables_of(text)
  local numbers, tables = split(text), {}
  for i = 1, #numbers, 9 do
    local n = {}
    for j = 0, 8 do n[j] = tonumber(numbers[i + j]) end
    tables[#tables + 1] = {
      first = n[0], width = n[1], rows = n[2], spread = n[3],
      keys = { n[4], n[5], n[6], n[7] }, count = n[8],
    }
  end
  return tables
end

-- The rows of a table that stand in `payload` from `offset` on; of the blocks that they lie in the
-- number within the table, and the id.
local function rows_of(t, payload, offset)
  local rows, blocks, ids = {}, {}, {}
  for i = 0, t.count - 1, RUN do
    local count = math.min(RUN, t.count - i)
    local part = { struct.unpack('<' .. string.rep('I4', count), payload, offset + 4 * i) }
    for j = 1, count do rows[i + j] = part[j] end
  end
  for i = 1, t.count do
    local block = math.floor(rows[i] / t.rows)
    if block ~= blocks[#blocks] then
      blocks[#blocks + 1] = block
      ids[#ids + 1] = string.format('%d', t.first + block)
    end
  end
  return rows, blocks, ids
end
