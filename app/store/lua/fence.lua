-- Raise the run's fence on this shard; it never goes down. What belonged to the old one is
-- forgotten: its attempts, and the evaluation that it had begun.
--
-- KEYS  1 meta
-- ARGV  1 fence
-- Reply {answer, fence in force}: OK or NOMODEL

local fence = tonumber(redis.call('HGET', KEYS[1], 'fence') or -1)
if fence < 0 then return { 'NOMODEL', 0 } end
if tonumber(ARGV[1]) > fence then
  fence = tonumber(ARGV[1])
  -- First what needs memory: where there is none, the script ends here.
  redis.call('HSET', KEYS[1], 'fence', ARGV[1])
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.find(field, '^attempt:') or field == 'evaluation' then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end
return { 'OK', fence }
