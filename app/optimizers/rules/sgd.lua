-- Plain gradient descent: w <- w - rate * g. Protocol: push.lua; twin: app/optimizers/rules/sgd.py.

return push(function(g, w, _, count, rate)
  for i = 1, count do w[i] = w[i] - rate * g[i] end
end)
