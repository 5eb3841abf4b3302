"""Blobs of units on the control server: findings that are too large for a report.

Reports are JSON and travel through the ledger; the scores of all held-out examples, which
an exact AUC needs, lie here until the coordinator takes them. A blob is a unit's, and only
the attempt that holds the unit can put it. So nothing comes back once the units were
forgotten and the blobs cleared, whatever late tasks of theirs still do.
"""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import control
from distbelief.app.runs.ledger import Claim
from distbelief.app.runs.record import KEEP_S

PUT_BLOB = Script.load("distbelief.app.runs", "put_blob")


def put(servers: Servers, run: str, claim: Claim, data: bytes) -> None:
    """Put down what the claimed unit found; again is the same as once.

    Raises:
        Fenced: the lease on the unit was lost.
    """
    unit = control(run, f"unit:{claim.unit}")
    keys = (control(run, "record"), unit, _key(run))
    arguments = (claim.fence, claim.attempt, claim.unit, data, KEEP_S)
    if servers.call([Command.call(0, PUT_BLOB, keys, arguments)])[0] != b"OK":
        raise Fenced(f"the lease on {claim.unit} was lost")


def read(servers: Servers, run: str, units: Sequence[str]) -> list[bytes | None]:
    """Read the blob of each unit; None where there is none (any more)."""
    found: list[bytes | None] = servers.one("HMGET", _key(run), *units)
    return found


def clear(servers: Servers, run: str) -> None:
    """Remove all blobs of the run. Forget the units first: then it stays so."""
    servers.one("UNLINK", _key(run))


def _key(run: str) -> str:
    return control(run, "deposits")
