-- Adagrad: acc <- acc + g*g; w <- w - rate * g / (sqrt(acc) + epsilon).
-- Protocol: push.lua; twin: app/optimizers/rules/adagrad.py. KEYS 3: accumulators; ARGV 12: epsilon,
-- 13: first value of the accumulators.

local epsilon = tonumber(ARGV[12])
local sqrt = math.sqrt

return push(function(g, w, slots, count, rate)
  local acc = slots[1]
  for i = 1, count do
    local gradient = g[i]
    local sum = acc[i] + gradient * gradient
    acc[i] = sum
    w[i] = w[i] - rate * gradient / (sqrt(sum) + epsilon)
  end
end, function(_, slots, count)
  for i = 1, count do slots[1][i] = tonumber(ARGV[13]) end
end)
