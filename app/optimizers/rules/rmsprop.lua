-- RMSProp: s <- smoothing * s + (1 - smoothing) * g * g; w <- w - rate * g / (sqrt(s) + epsilon).
-- Protocol: push.lua; twin: app/optimizers/rules/rmsprop.py. KEYS 3: mean squares;
-- ARGV 12: smoothing, 13: epsilon.

local smoothing, epsilon = tonumber(ARGV[12]), tonumber(ARGV[13])
local fresh = 1 - smoothing
local sqrt = math.sqrt

return push(function(g, w, slots, count, rate)
  local squares = slots[1]
  for i = 1, count do
    local gradient = g[i]
    local mean = smoothing * squares[i] + fresh * gradient * gradient
    squares[i] = mean
    w[i] = w[i] - rate * gradient / (sqrt(mean) + epsilon)
  end
end)
