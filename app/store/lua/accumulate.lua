-- Add a portion's gradient to the sum of its evaluation, if it has not been added here.
--
-- KEYS  1 meta, 2 counted, 3 the gradient
-- ARGV  1 fence, 2 evaluation, 3 portion, 4 first and 5 last block, 6 numbers in a block,
--       7 the portion's numbers for these blocks, packed
-- Reply one of
--   COUNTED    added
--   DUPLICATE  this portion was added before; nothing changed
--   EXPIRED    a later evaluation is the current one; nothing changed
--   REFUSED    the sum would not be finite; nothing changed
--   BEHIND     the fence or the evaluation here is older: the server came back with older
--              data; nothing changed
--   FENCED, NOMODEL
-- Error BADPORTION: another length; nothing changed.

local head = redis.call('HMGET', KEYS[1], 'fence', 'evaluation', 'dtype')
if not head[1] then return 'NOMODEL' end
local fence, evaluation = tonumber(head[1]), tonumber(head[2] or 0)
if fence > tonumber(ARGV[1]) then return 'FENCED' end
if fence < tonumber(ARGV[1]) or evaluation < tonumber(ARGV[2]) then return 'BEHIND' end
if evaluation > tonumber(ARGV[2]) then return 'EXPIRED' end
if redis.call('GETBIT', KEYS[2], ARGV[3]) == 1 then return 'DUPLICATE' end

local dtype, values = head[3], ARGV[7]
local width, limit = WIDTH[dtype], LIMIT[dtype]
local ids = range(ARGV[4], ARGV[5])
local old, new = read_blocks(KEYS[3], ids), {}
local full, at = tonumber(ARGV[6]) * width, 1
for i = 1, #ids do
  local bytes = math.min(full, #values - at + 1)
  if bytes <= 0 or (i < #ids and bytes < full) or (old[i] and #old[i] ~= bytes) then
    return redis.error_reply('BADPORTION ' .. #values .. ' bytes do not fill the blocks')
  end
  local sum = old[i] and old[i] or string.rep('\0', bytes)
  local pieces = {}
  for first = 0, bytes / width - 1, RUN do
    local count = math.min(RUN, bytes / width - first)
    local shape = format(dtype, count)
    local a = { struct.unpack(shape, sum, first * width + 1) }
    local b = { struct.unpack(shape, values, at + first * width) }
    for j = 1, count do
      local x = a[j] + b[j]
      if not (x < limit and x > -limit) then return 'REFUSED' end
      a[j] = x
    end
    pieces[#pieces + 1] = struct.pack(shape, unpack(a, 1, count))
  end
  new[i] = table.concat(pieces)
  at = at + bytes
end
if at ~= #values + 1 then
  return redis.error_reply('BADPORTION ' .. #values .. ' bytes are more than the blocks hold')
end
write_blocks(KEYS[3], ids, new)
redis.call('SETBIT', KEYS[2], ARGV[3], 1)
return 'COUNTED'
