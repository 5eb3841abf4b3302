-- The protocol of a push, shared by all scripts that apply one.
--
-- KEYS  1 meta
-- ARGV  1 fence, 2 stream, 3 attempt, 4 sequence; of a push that stands for several the first
--       and the last, as '13-15',
--       6 base: the updates of other streams that were here when the gradient's parameters
--       were fetched; the rate is divided by how many came since. Empty: it is not,
--       9 rate, 10 decay of the rate, 11 coding.lua, of numbers that come and that go
-- Reply begins with one of
--   APPLIED    the update was written and the clock advanced, by one for each sequence
--   DUPLICATE  this sequence was dealt with before; nothing changed
--   REFUSED    the update would write NaN or infinity: it is counted as refused, its
--              sequence is used up, and no parameter changed
--   GAP        sequences before this one are missing here, or only some of its own were dealt with;
--              nothing changed
--   FENCED     a newer fence, or a newer attempt of the stream, is here; nothing changed
--   BEHIND     an older fence is here: the server came back with older data; nothing changed
--   NOMODEL    the run was never created here, or the server lost it

-- Where the shard stands, and why the push is not to be applied, if it is not.
local function enter()
  local stream, attempt = ARGV[2], tonumber(ARGV[3])
  local first, sequence = string.match(ARGV[4], '^(%d+)-(%d+)$')
  first, sequence = tonumber(first or ARGV[4]), tonumber(sequence or ARGV[4])
  local head = redis.call('HMGET', KEYS[1], 'fence', 'dtype', 'clock',
    'attempt:' .. stream, 'seq:' .. stream)
  if not head[1] then return { clock = 0, last = 0 }, 'NOMODEL' end
  local at = { dtype = head[2], clock = tonumber(head[3]), last = tonumber(head[5] or 0) }
  local fence, ours = tonumber(head[1]), tonumber(ARGV[1])
  if fence < ours then return at, 'BEHIND' end
  if fence > ours or attempt < tonumber(head[4] or 0) then return at, 'FENCED' end
  if sequence <= at.last then return at, 'DUPLICATE' end
  if first ~= at.last + 1 then return at, 'GAP' end
  at.sequence, at.span = sequence, sequence - first + 1
  return at, nil
end

local function rate_of(at)
  local rate, base = tonumber(ARGV[9]) / (1 + tonumber(ARGV[10]) * at.clock), tonumber(ARGV[6])
  if base then rate = rate / math.max(1, at.clock - at.last - base) end
  return rate
end

-- Use up the sequence; called after everything else was written.
local function leave(at, finite)
  at.last = at.sequence
  if finite then
    at.clock = at.clock + at.span
  else
    redis.call('HINCRBY', KEYS[1], 'refused', at.span)
  end
  redis.call('HSET', KEYS[1], 'clock', at.clock, 'attempt:' .. ARGV[2], tonumber(ARGV[3]),
    'seq:' .. ARGV[2], at.last)
  return finite and 'APPLIED' or 'REFUSED'
end

local function all_finite(values, count, limit)
  for j = 1, count do
    local x = values[j]
    if not (x < limit and x > -limit) then return false end
  end
  return true
end
