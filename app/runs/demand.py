"""How many worker processes runs have work for: told before any worker is there.

Whoever starts workers on demand, such as KEDA, counts the members of one key. Each is a process
that a run wants; what a coordinator does not say again in time is forgotten, so that one that
died keeps no fleet.
"""

from __future__ import annotations

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import WANTED

WANT = Script.load("distbelief.app.runs", "want")

#: How long it holds: a coordinator that is begun again within it finds its workers.
HOLDS_S = 60.0


def want(servers: Servers, run: str, processes: int) -> None:
    """Say that ``run`` has work for so many processes; 0 once it is over."""
    arguments = (run, processes, round(HOLDS_S * 1000))
    servers.call([Command.call(0, WANT, [WANTED], arguments)])


def wanted(servers: Servers) -> int:
    """The processes that all runs together have work for."""
    return int(servers.one("ZCARD", WANTED))
