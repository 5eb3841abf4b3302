-- Raise the run's fence on this shard; it never goes down. What belonged to the old one is
-- forgotten: its attempts, the evaluation that it had begun, the number of its last change.
--
-- KEYS  1 meta
-- ARGV  1 fence, 2 the fence and 3 the change that this shard is known to have had
-- Reply {answer, fence in force}: OK, NOMODEL, or BEHIND: it has them no more; nothing changed

local head = redis.call('HMGET', KEYS[1], 'fence', 'change')
if not head[1] then return { 'NOMODEL', 0 } end
local fence, change = tonumber(head[1]), tonumber(head[2] or 0)
local known = tonumber(ARGV[2])
if fence < known or (fence == known and change < tonumber(ARGV[3])) then
  return { 'BEHIND', fence }
end
if tonumber(ARGV[1]) > fence then
  fence = tonumber(ARGV[1])
  -- First what needs memory: where there is none, the script ends here.
  redis.call('HSET', KEYS[1], 'fence', ARGV[1])
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.find(field, '^attempt:') or field == 'evaluation' or field == 'change' then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end
return { 'OK', fence }
