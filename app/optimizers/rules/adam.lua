-- Adam, with decoupled weight decay; t is the clock with this push:
-- m <- beta1 * m + (1 - beta1) * g; v <- beta2 * v + (1 - beta2) * g * g;
-- w <- w * (1 - rate * decay) - rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon).
-- Protocol: push.lua; twin: app/optimizers/rules/adam.py. KEYS 3: m, 4: v;
-- ARGV 12: beta1, 13: beta2, 14: epsilon, 15: weight decay.

local beta1, beta2 = tonumber(ARGV[12]), tonumber(ARGV[13])
local epsilon, decay = tonumber(ARGV[14]), tonumber(ARGV[15])
local fresh1, fresh2 = 1 - beta1, 1 - beta2
local sqrt = math.sqrt

-- By squaring, as the twin does: pow() of C libraries differs in the last bit.
local function power(base, exponent)
  local result = 1
  while exponent > 0 do
    if exponent % 2 == 1 then result = result * base end
    base = base * base
    exponent = math.floor(exponent / 2)
  end
  return result
end

return push(function(g, w, slots, count, rate, clock)
  local first, second = slots[1], slots[2]
  local step = rate / (1 - power(beta1, clock + 1))
  local root, kept = sqrt(1 - power(beta2, clock + 1)), 1 - rate * decay
  for i = 1, count do
    local gradient = g[i]
    local m = beta1 * first[i] + fresh1 * gradient
    local v = beta2 * second[i] + fresh2 * gradient * gradient
    first[i], second[i] = m, v
    w[i] = w[i] * kept - step * m / (sqrt(v) / root + epsilon)
  end
end)
