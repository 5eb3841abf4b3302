-- Nesterov's momentum: v <- momentum * v + g; w <- w - rate * (momentum * v + g).
-- Protocol: push.lua; twin: app/optimizers/rules/nesterov.py. KEYS 3: velocities; ARGV 12: momentum.

local momentum = tonumber(ARGV[12])

return push(function(g, w, slots, count, rate)
  local velocity = slots[1]
  for i = 1, count do
    local v = momentum * velocity[i] + g[i]
    velocity[i] = v
    w[i] = w[i] - rate * (momentum * v + g[i])
  end
end)
