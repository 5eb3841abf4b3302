-- Momentum: v <- momentum * v + g; w <- w - rate * v.
-- Protocol: push.lua; twin: app/optimizers/rules/momentum.py. KEYS 3: velocities; ARGV 12: momentum.

local momentum = tonumber(ARGV[12])

return push(function(g, w, slots, count, rate)
  local velocity = slots[1]
  for i = 1, count do
    local v = momentum * velocity[i] + g[i]
    velocity[i] = v
    w[i] = w[i] - rate * v
  end
end)
