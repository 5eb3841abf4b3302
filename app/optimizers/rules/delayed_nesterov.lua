-- Delayed Nesterov: s <- s + g; with every n-th push v <- momentum * v + s;
-- w <- w - rate * (momentum * v + g); s <- 0, with others w <- w - rate * g.
-- Protocol: push.lua; twin: app/optimizers/rules/delayed_nesterov.py. KEYS 3: velocities, 4: sums;
-- ARGV 12: momentum, 13: n.

local momentum, arrivals = tonumber(ARGV[12]), tonumber(ARGV[13])

return push(function(g, w, slots, count, rate, clock)
  local velocity, sums = slots[1], slots[2]
  local last = (clock + 1) % arrivals == 0
  for i = 1, count do
    local gradient = g[i]
    local total = sums[i] + gradient
    if last then
      local v = momentum * velocity[i] + total
      velocity[i], sums[i] = v, 0
      w[i] = w[i] - rate * (momentum * v + gradient)
    else
      sums[i] = total
      w[i] = w[i] - rate * gradient
    end
  end
end)
