-- Read a range of a vector's blocks, and where the shard stood at that moment.
--
-- KEYS  1 meta, 2 the vector
-- ARGV  1 stream, 2 first and 3 last block
-- Reply {answer, clock, sequence, values}: the shard's clock, the last sequence of this stream,
--       and the blocks as one string
--   OK, NOMODEL (also for a vector that is not there in full)

local head = redis.call('HMGET', KEYS[1], 'clock', 'seq:' .. ARGV[1])
local blocks, ids = {}, range(ARGV[2], ARGV[3])
if head[1] then blocks = read_blocks(KEYS[2], ids) end
for i = 1, #ids do
  if not blocks[i] then return { 'NOMODEL', 0, 0, '' } end
end
return { 'OK', tonumber(head[1]), tonumber(head[2] or 0), table.concat(blocks) }
