-- Shared by the scripts that a coordinator calls. It numbers its changes of shards, as a replica
-- numbers its pushes: a shard that lacks one which it has acknowledged came back with older data.
--
-- KEYS  1 meta
-- ARGV  1 fence, 2 the last change that this shard has acknowledged under it,
--       3 the number of this one; not used by what changes nothing
-- Reply begins with one of these, or is it
--   FENCED   a newer fence is in force; nothing changed
--   BEHIND   the shard has an older fence, or not the change of ARGV 2; nothing changed
--   NOMODEL  the run was never created here, or the server lost it

-- Why the call is not to be served, nil if it is; the fields fence, change, and others of meta.
local function standing(...)
  local head = redis.call('HMGET', KEYS[1], 'fence', 'change', ...)
  if not head[1] then return 'NOMODEL', head end
  local fence, ours = tonumber(head[1]), tonumber(ARGV[1])
  if fence > ours then return 'FENCED', head end
  if fence < ours or tonumber(head[2] or 0) < tonumber(ARGV[2]) then return 'BEHIND', head end
  return nil, head
end

-- Note the change, which may be made again; called after all else was written.
local function note_change(head)
  if tonumber(ARGV[3]) > tonumber(head[2] or 0) then
    redis.call('HSET', KEYS[1], 'change', ARGV[3])
  end
end
