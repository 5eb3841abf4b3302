"""All keys of a pattern as they are, and servers that come back with them: older data.

Both happen in one moment, between what others do: no server comes back with half of a change.
"""

from __future__ import annotations

from itertools import chain

from distbelief.app.client.servers import Servers

Dump = dict[bytes, bytes]

DUMP = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  found[#found + 1], found[#found + 2] = key, redis.call('DUMP', key)
end
return found"""
PUT_BACK = """
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end
for at = 2, #ARGV, 2 do redis.call('RESTORE', ARGV[at], 0, ARGV[at + 1]) end"""


def dumped(servers: Servers, pattern: str, server: int = 0) -> Dump:
    found = servers.one("EVAL", DUMP, 0, pattern, server=server)
    return dict(zip(found[::2], found[1::2], strict=True))


def put_back(servers: Servers, pattern: str, server: int, older: Dump) -> None:
    """Have a server hold what it held, and no other keys of the pattern."""
    servers.one("EVAL", PUT_BACK, 0, pattern, *chain(*older.items()), server=server)
