-- How numbers cross the network: as they are stored (the word for that is empty), or of float32
-- in fewer bits.
--
--   bfloat16   the upper half of each number, rounded to the nearest, ties to even
--   int8       for each 256 numbers a scale (float32), then for each number the multiple of its
--              scale that is nearest, from -127 to 127; a scale is a 127th of its largest number
--
-- Twin: app/store/contract/coding.py.

local GROUP = 256
local I2, I4 = string.rep('I2', RUN), string.rep('I4', RUN)
-- Added to a double and taken away again, it leaves the nearest whole number, ties to even.
local ROUND = 6755399441055744

-- Whether numbers come in fewer bits, and why they cannot, if so.
local function is_coded(coding, dtype)
  if coding == '' then return false, nil end
  if coding ~= 'bfloat16' and coding ~= 'int8' then
    return true, 'BADARG there is no coding ' .. coding
  end
  if dtype ~= 'f' then return true, 'BADARG ' .. coding .. ' is for shards of float32' end
  return true, nil
end

local function coded_bytes(coding, count)
  if coding == 'bfloat16' then return 2 * count end
  return count + 4 * math.ceil(count / GROUP)
end

-- So many coded numbers, as they are stored.
local function decoded(coding, coded, count)
  if coding == 'bfloat16' then return (string.gsub(coded, '..', '\0\0%0')) end
  local pieces, from = {}, 4 * math.ceil(count / GROUP) + 1
  for first = 0, count - 1, GROUP do
    local n = math.min(GROUP, count - first)
    local scale = struct.unpack('<f', coded, first / GROUP * 4 + 1)
    local values = { struct.unpack('<' .. string.rep('b', n), coded, from + first) }
    for i = 1, n do values[i] = values[i] * scale end
    pieces[#pieces + 1] = struct.pack(format('f', n), unpack(values, 1, n))
  end
  return table.concat(pieces)
end

local function upper_halves(stored)
  local pieces = {}
  for first = 0, #stored / 4 - 1, RUN do
    local n = math.min(RUN, #stored / 4 - first)
    local values = { struct.unpack('<' .. string.sub(I4, 1, 2 * n), stored, 4 * first + 1) }
    for i = 1, n do
      local low = values[i] % 65536
      local high = (values[i] - low) / 65536
      if high % 32768 >= 32640 then -- infinite, or no number, which stays one
        if low > 0 and high % 128 == 0 then high = high + 64 end
      elseif low > 32768 or (low == 32768 and high % 2 == 1) then
        high = high + 1
      end
      values[i] = high
    end
    pieces[#pieces + 1] = struct.pack('<' .. string.sub(I2, 1, 2 * n), unpack(values, 1, n))
  end
  return table.concat(pieces)
end

-- The scale of some numbers, and what to multiply them by; 0 where they become zeros.
local function scale_of(values, n)
  local top = 0
  for i = 1, n do
    local size = math.abs(values[i])
    if size ~= size then top = math.huge end
    if size > top then top = size end
  end
  if top == math.huge then return '\0\0\192\127', 0 end -- NaN
  local packed = struct.pack('<f', top / 127)
  local scale = struct.unpack('<f', packed)
  return packed, scale > 0 and 1 / scale or 0
end

-- Stored numbers, coded.
local function encoded(coding, stored)
  if coding == 'bfloat16' then return upper_halves(stored) end
  local scales, pieces = {}, {}
  for first = 0, #stored / 4 - 1, GROUP do
    local n = math.min(GROUP, #stored / 4 - first)
    local values = { struct.unpack(format('f', n), stored, 4 * first + 1) }
    local packed, inverse = scale_of(values, n)
    for i = 1, n do
      local level = inverse > 0 and values[i] * inverse + ROUND - ROUND or 0
      values[i] = math.max(-127, math.min(127, level))
    end
    scales[#scales + 1] = packed
    pieces[#pieces + 1] = struct.pack('<' .. string.rep('b', n), unpack(values, 1, n))
  end
  return table.concat(scales) .. table.concat(pieces)
end
