-- Read a range of a vector's blocks, and where the shard stood at that moment.
--
-- KEYS  1 meta, 2 the vector
-- ARGV  1 and 2: behind.lua, 3 stream, 4 first and 5 last
--       block, 6 coding.lua
-- Reply {answer, clock, sequence, values}: the shard's clock, the last sequence of this stream,
--       and the blocks as one string, coded
--   OK, BEHIND (it has an older fence, or not that change), NOMODEL (also for a vector that is not there in full)
-- Error BADARG: no such coding, or not for these numbers.

local head = redis.call('HMGET', KEYS[1], 'fence', 'change', 'clock', 'seq:' .. ARGV[3], 'dtype')
if is_behind(head[1], head[2]) then return { 'BEHIND', 0, 0, '' } end
local blocks, ids = {}, range(ARGV[4], ARGV[5])
if head[3] then blocks = read_blocks(KEYS[2], ids) end
for i = 1, #ids do
  if not blocks[i] then return { 'NOMODEL', 0, 0, '' } end
end
local coded, unfit = is_coded(ARGV[6], head[5])
if unfit then return redis.error_reply(unfit) end
local values = table.concat(blocks)
if coded then values = encoded(ARGV[6], values) end
return { 'OK', tonumber(head[3]), tonumber(head[4] or 0), values }
