-- FTRL-Proximal: s <- (sqrt(n + g*g) - sqrt(n)) / rate; z <- z + g - s * w; n <- n + g*g;
-- w <- 0 where |z| <= l1, else -(z - sign(z) * l1) / ((beta + sqrt(n)) / rate + l2).
-- Protocol: push.lua; twin: app/optimizers/rules/ftrl.py. KEYS 3: n, 4: z;
-- ARGV 12: beta, 13: l1, 14: l2.

local beta, l1, l2 = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local sqrt = math.sqrt

return push(function(g, w, slots, count, rate)
  local squares, sums = slots[1], slots[2]
  for i = 1, count do
    local gradient, n = g[i], squares[i]
    local more = n + gradient * gradient
    local root = sqrt(more)
    local z = sums[i] + gradient - (root - sqrt(n)) / rate * w[i]
    squares[i], sums[i] = more, z
    local divisor = (beta + root) / rate + l2
    if z > l1 then
      w[i] = -(z - l1) / divisor
    elseif z < -l1 then
      w[i] = -(z + l1) / divisor
    else
      w[i] = 0
    end
  end
end, function(w, slots, count)
  local divisor = beta / tonumber(ARGV[9]) + l2
  for i = 1, count do
    if w[i] > 0 then
      slots[2][i] = -w[i] * divisor - l1
    elseif w[i] < 0 then
      slots[2][i] = -w[i] * divisor + l1
    end
  end
end)
