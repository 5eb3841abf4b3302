"""The ledger of units: the truth about who works on what.

A Celery message is only a hint that there may be work: the broker loses one now and then
and delivers another twice. What counts is here, on the control server: a unit is claimed
under a lease on the server's clock, each claim gets a higher attempt number (a fencing
token), and only the attempt that holds a unit can report it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control

ENTER = Script.load("distbelief.app.runs", "enter")
CLAIM = Script.load("distbelief.app.runs", "claim")
RENEW = Script.load("distbelief.app.runs", "renew")
FINISH = Script.load("distbelief.app.runs", "finish")
RELEASE = Script.load("distbelief.app.runs", "release")


class UnitState(StrEnum):
    """State of a unit in the ledger."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Claim:
    """A granted lease on a unit, to be renewed within ``lease_s``."""

    unit: str
    fence: int
    attempt: int
    lease_s: float
    specification: dict[str, Any]


@dataclass(frozen=True)
class LedgerUnit:
    """A unit as the ledger knows it.

    ``tries`` counts its claims that were not given back; ``attempt`` and ``owner`` are those
    of the last claim, 0 and empty before the first. ``remaining_s`` is what is left of its
    lease on the server's clock, 0 or less if the lease ran out; None if nobody holds it.
    """

    state: UnitState
    tries: int
    attempt: int
    owner: str
    remaining_s: float | None
    report: dict[str, Any]


class Ledger:
    """The units of one run on the control server. Every call may safely be repeated."""

    def __init__(self, servers: Servers, run: str) -> None:
        self._servers = servers
        self._run = run
        self._record = control(run, "record")
        self._wakeup = control(run, "wakeup")
        self._units = control(run, "units")
        self._blobs = control(run, "deposits")

    def submit(
        self, unit: str, specification: Mapping[str, Any], lease_s: float, fence: int
    ) -> None:
        """Enter a unit, unless it is there.

        It can be claimed, renewed and reported while ``fence`` is the run's.
        """
        arguments = (fence, unit, json.dumps(specification), round(lease_s * 1000))
        keys = (self._unit(unit), self._units, self._record)
        self._servers.call([Command.call(0, ENTER, keys, arguments)])

    def claim(self, unit: str, claimer: str) -> Claim | None:
        """The lease on ``unit``, or None if it is held, finished or unknown.

        ``claimer`` must be unique to the execution of the task: a claim whose answer
        was lost is then granted again instead of refused to its own owner.
        """
        keys = (self._record, self._unit(unit))
        answer, fence, attempt, lease_ms, specification = self._servers.call(
            [Command.call(0, CLAIM, keys, (claimer,))]
        )[0]
        if answer != b"GRANTED":
            return None
        return Claim(unit, fence, attempt, lease_ms / 1000, json.loads(specification))

    def renew(self, claim: Claim) -> bool:
        """Extend a lease; False if it was lost."""
        keys = (self._record, self._unit(claim.unit))
        command = Command.call(0, RENEW, keys, (claim.fence, claim.attempt))
        return bool(self._servers.call([command], timeout_s=claim.lease_s)[0] == b"OK")

    def finish(self, claim: Claim, state: UnitState, report: Mapping[str, Any]) -> bool:
        """Report a unit DONE or FAILED; False if another attempt holds it by now."""
        keys = (self._record, self._unit(claim.unit), self._wakeup)
        arguments = (claim.fence, claim.attempt, state, json.dumps(report))
        return bool(self._servers.call([Command.call(0, FINISH, keys, arguments)])[0] == b"OK")

    def release(self, claim: Claim) -> bool:
        """Give a unit back unfinished; False if another attempt holds it by now."""
        keys = (self._record, self._unit(claim.unit), self._wakeup)
        command = Command.call(0, RELEASE, keys, (claim.fence, claim.attempt))
        return bool(self._servers.call([command], timeout_s=claim.lease_s)[0] == b"OK")

    def wait(self, timeout_s: float) -> None:
        """Return when a unit finishes or is given back, at the latest after ``timeout_s``.

        Zero does not wait at all: a server that has nothing else to do ends even the
        shortest wait only at its next tick, of which there are ten a second. A wake-up is a
        hint: call :meth:`read` afterwards whatever happened.
        """
        if timeout_s > 0:
            self._servers.pop(self._wakeup, timeout_s)
        self._servers.one("DEL", self._wakeup)

    def read(self, units: Sequence[str]) -> dict[str, LedgerUnit]:
        """Look ``units`` up; those that the ledger does not know are left out."""
        fields = ("state", "tries", "attempt", "owner", "expires", "lease", "report")
        asked = [Command(0, ("HMGET", self._unit(unit), *fields)) for unit in units]
        # The time last: whoever renews meanwhile has no lease that ends too late for it.
        *replies, (seconds, micros) = self._servers.call([*asked, Command(0, ("TIME",))])
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        return {
            unit: _parse(now_ms, *reply)
            for unit, reply in zip(units, replies, strict=True)
            if reply[0] is not None
        }

    def forget(self, units: Sequence[str]) -> None:
        """Remove units; a late message that names one finds nothing to do."""
        if units:
            forgotten = ("UNLINK", *(self._unit(unit) for unit in units))
            noted = ("SREM", self._units, *units)
            self._servers.call([Command(0, forgotten), Command(0, noted)])

    def clear(self) -> None:
        """Remove all units of the run, whoever entered them, and what they laid down."""
        self.forget([unit.decode() for unit in self._servers.one("SMEMBERS", self._units)])
        self._servers.one("UNLINK", self._wakeup, self._blobs)

    def _unit(self, unit: str) -> str:
        return control(self._run, f"unit:{unit}")


def _parse(
    now_ms: int,
    state: bytes,
    tries: bytes,
    attempt: bytes,
    owner: bytes,
    expires: bytes,
    lease: bytes,
    report: bytes,
) -> LedgerUnit:
    left_ms = int(expires) - now_ms
    if left_ms > int(lease):  # the clock was set back since
        left_ms = 0
    return LedgerUnit(
        state=UnitState(state.decode()),
        tries=int(tries),
        attempt=int(attempt),
        owner=owner.decode(),
        remaining_s=left_ms / 1000 if state == UnitState.LEASED.encode() else None,
        report=json.loads(report or "{}"),
    )
