-- Shared by scripts that read without a fence of their own.
--
-- ARGV  1 fence and 2 change that the shard is known to have had

-- Whether it has an older fence now, or not that change.
local function is_behind(fence, change)
  local in_force, known = tonumber(fence), tonumber(ARGV[1])
  if not in_force then return false end
  return in_force < known or (in_force == known and tonumber(change or 0) < tonumber(ARGV[2]))
end
