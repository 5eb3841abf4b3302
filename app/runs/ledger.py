"""The ledger of units: the truth about who works on what.

A Celery message is only a hint that there may be work: the broker loses one now and then
and delivers another twice. What counts is here, on the control server: a unit is claimed
under a lease on the server's clock, each claim gets a higher attempt number (a fencing
token), and only the attempt that holds a unit can report it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control
from distbelief.app.runs.damage import Whole, parsed, understood

ENTER = Script.load("distbelief.app.runs", "enter")
CLAIM = Script.load("distbelief.app.runs", "claim")
RENEW = Script.load("distbelief.app.runs", "renew")
FINISH = Script.load("distbelief.app.runs", "finish")
RELEASE = Script.load("distbelief.app.runs", "release")


#: Wake-ups that are taken at a time.
MOST_WAKEUPS = 1000


class UnitState(StrEnum):
    """State of a unit in the ledger."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class Specification(BaseModel):
    """What is to be done in a unit, as tasks of each kind have it."""

    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)


Specified = TypeVar("Specified", bound=Specification)


@dataclass(frozen=True)
class Claim:
    """A granted lease on a unit, to be renewed within ``lease_s``; ``key`` is where it was found.

    What is not understood of a unit is told by whoever does it: that reaches the coordinator.
    """

    unit: str
    fence: int
    attempt: int
    lease_s: float
    specification: Any
    key: str = field(default="", compare=False)

    def specified(self, kind: type[Specified]) -> Specified:
        """What is to be done; raises RunDamaged if it says no such thing."""
        with understood(self.key):
            return kind.model_validate(self.specification)


class Failure(BaseModel):
    """The report of a unit that failed.

    With a ``mismatch`` the worker does not compute what the coordinator would; ``lost`` is what a
    server had acknowledged, which is the coordinator's to mend.
    """

    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)

    error: str
    traceback: str = ""
    worker: str = ""
    mismatch: bool = False
    lost: bool = False


@dataclass(frozen=True)
class LedgerUnit:
    """A unit as the ledger knows it; ``report`` is that of one that failed, or is done.

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
    key: str = field(default="", compare=False)

    @property
    def failure(self) -> Failure:
        """Why it failed; raises ValueError if its report is of another kind."""
        return Failure.model_validate(self.report)


class _Fields(BaseModel):
    """The fields of a unit that a coordinator reads."""

    model_config = ConfigDict(defer_build=True)

    state: Annotated[UnitState, BeforeValidator(bytes.decode)]
    tries: Whole
    attempt: Whole
    owner: str
    expires: Whole
    lease: Whole = Field(gt=0)
    report: Annotated[dict[str, Any], BeforeValidator(lambda text: parsed(text or b"{}"))]


class Ledger:
    """The units of one run on the control server. Every call may safely be repeated."""

    def __init__(self, servers: Servers, run: str) -> None:
        self._servers = servers
        self.run = run
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
        keys = (self.key(unit), self._units, self._record)
        self._servers.call([Command.call(0, ENTER, keys, arguments)])

    def knows_run(self) -> bool:
        """Whether the control server knows the run at all, also one that has ended."""
        return bool(self._servers.one("EXISTS", self._record))

    def claim(self, unit: str, claimer: str) -> Claim | None:
        """The lease on ``unit``, or None if it is held, finished or unknown.

        ``claimer`` must be unique to the execution of the task: a claim whose answer
        was lost is then granted again instead of refused to its own owner.
        """
        keys = (self._record, self.key(unit))
        answer, fence, attempt, lease_ms, specification = self._servers.call(
            [Command.call(0, CLAIM, keys, (claimer,))]
        )[0]
        if answer != b"GRANTED":
            return None
        key = self._servers.key(keys[1])
        return Claim(unit, fence, attempt, lease_ms / 1000, _loaded(specification), key)

    def renew(self, claim: Claim) -> bool:
        """Extend a lease; False if it was lost."""
        keys = (self._record, self.key(claim.unit))
        command = Command.call(0, RENEW, keys, (claim.fence, claim.attempt))
        return bool(self._servers.call([command], timeout_s=claim.lease_s)[0] == b"OK")

    def finish(self, claim: Claim, state: UnitState, report: Mapping[str, Any]) -> bool:
        """Report a unit DONE or FAILED; False if another attempt holds it by now."""
        keys = (self._record, self.key(claim.unit), self._wakeup)
        arguments = (claim.fence, claim.attempt, state, json.dumps(report), claim.unit)
        return bool(self._servers.call([Command.call(0, FINISH, keys, arguments)])[0] == b"OK")

    def release(self, claim: Claim) -> bool:
        """Give a unit back unfinished; False if another attempt holds it by now."""
        keys = (self._record, self.key(claim.unit), self._wakeup)
        command = Command.call(0, RELEASE, keys, (claim.fence, claim.attempt, claim.unit))
        return bool(self._servers.call([command], timeout_s=claim.lease_s)[0] == b"OK")

    def wait(self, timeout_s: float) -> set[str]:
        """Return when a unit finishes or is given back, at the latest after ``timeout_s``.

        Zero does not wait at all: a server that has nothing else to do ends even the
        shortest wait only at its next tick, of which there are ten a second. The names of such
        units are hints: some may be missing, and others mean nothing. :meth:`read` has the truth.
        """
        first = self._servers.pop(self._wakeup, timeout_s) if timeout_s > 0 else None
        more = self._servers.one("LRANGE", self._wakeup, 0, MOST_WAKEUPS - 1)
        if more:
            self._servers.one("LTRIM", self._wakeup, len(more), -1)
        told = more if first is None else [first, *more]
        return {name.decode(errors="replace") for name in told}

    def read(self, units: Sequence[str]) -> dict[str, LedgerUnit]:
        """Look ``units`` up; those that the ledger does not know are left out.

        Raises:
            RunDamaged: what it holds of one is not what this program writes.
        """
        if not units:
            return {}
        asked = [Command(0, ("HMGET", self.key(unit), *_Fields.model_fields)) for unit in units]
        # The time last: whoever renews meanwhile has no lease that ends too late for it.
        time = Command(0, ("TIME",), beside=self._record)
        *replies, (seconds, micros) = self._servers.call([*asked, time])
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        return {
            unit: _parse(self._servers.key(self.key(unit)), now_ms, reply)
            for unit, reply in zip(units, replies, strict=True)
            if reply[0] is not None
        }

    def forget(self, units: Sequence[str]) -> None:
        """Remove units; a late message that names one finds nothing to do."""
        if units:
            forgotten = ("UNLINK", *(self.key(unit) for unit in units))
            noted = ("SREM", self._units, *units)
            self._servers.call([Command(0, forgotten), Command(0, noted)])

    def clear(self) -> None:
        """Remove all units of the run, whoever entered them, and what they laid down."""
        named = self._servers.one("SMEMBERS", self._units)
        self.forget([unit.decode() for unit in named if _is_text(unit)])
        self._servers.one("UNLINK", self._wakeup, self._blobs, self._units)

    def key(self, unit: str) -> str:
        """Where a unit is on the control server."""
        return control(self.run, f"unit:{unit}")


def _parse(key: str, now_ms: int, reply: Sequence[bytes | None]) -> LedgerUnit:
    with understood(key):
        found = _Fields.model_validate(dict(zip(_Fields.model_fields, reply, strict=True)))
        left_ms = found.expires - now_ms
        if left_ms > found.lease:  # the clock was set back since
            left_ms = 0
        unit = LedgerUnit(
            state=found.state,
            tries=found.tries,
            attempt=found.attempt,
            owner=found.owner,
            remaining_s=left_ms / 1000 if found.state is UnitState.LEASED else None,
            report=found.report,
            key=key,
        )
        if found.state is UnitState.FAILED:
            unit.failure  # noqa: B018  (raises)
    return unit


def _loaded(text: bytes) -> Any:
    """What a JSON text holds; None where it is none."""
    try:
        return parsed(text)
    except ValueError:
        return None


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except ValueError:
        return False
    return True
