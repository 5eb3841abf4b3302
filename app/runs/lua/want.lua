-- Say how many worker processes a run has work for, to whoever starts and ends workers.
-- What was not said again in time is forgotten, that of other runs, too.
--
-- KEYS  1 wanted
-- ARGV  1 run, 2 processes, 3 ms for which that holds
-- Reply OK

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_ms, wanted = now + tonumber(ARGV[3]), tonumber(ARGV[2])
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], member)
end
for index = 1, wanted do
  redis.call('ZADD', KEYS[1], until_ms, ARGV[1] .. '/' .. index)
end
local surplus = wanted + 1
while redis.call('ZREM', KEYS[1], ARGV[1] .. '/' .. surplus) == 1 do surplus = surplus + 1 end
if wanted > 0 then redis.call('PEXPIREAT', KEYS[1], until_ms) end
return 'OK'
