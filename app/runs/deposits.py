"""What units find that is too large for their reports: bytes on the control server.

Reports are JSON and travel through the ledger; the scores of all held-out examples, which
an exact AUC needs, lie here until the coordinator takes them. A deposit is a unit's, and
only the attempt that holds the unit can make it. So nothing comes back once the units were
forgotten and the deposits cleared, whatever late tasks of theirs still do.
"""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import control
from distbelief.app.runs.ledger import Claim

DEPOSIT = Script.load("distbelief.app.runs", "deposit")

#: Deposits that nobody takes, because the coordinator died, go after a day.
KEEP_S = 86_400


def deposit(servers: Servers, run: str, claim: Claim, data: bytes) -> None:
    """Lay down what the claimed unit found; again is the same as once.

    Raises:
        Fenced: the lease on the unit was lost.
    """
    unit = control(run, f"unit:{claim.unit}")
    keys = (control(run, "record"), unit, control(run, "deposits"))
    arguments = (claim.fence, claim.attempt, claim.unit, data, KEEP_S)
    if servers.call([Command.call(0, DEPOSIT, keys, arguments)])[0] != b"OK":
        raise Fenced(f"the lease on {claim.unit} was lost")


def read(servers: Servers, run: str, units: Sequence[str]) -> list[bytes | None]:
    """The deposit of each unit; None where there is none (any more)."""
    found: list[bytes | None] = servers.one("HMGET", control(run, "deposits"), *units)
    return found


def clear(servers: Servers, run: str) -> None:
    """Remove all deposits of the run. Forget the units first: then it stays so."""
    servers.one("UNLINK", control(run, "deposits"))
