"""What the ledger must answer, as a few lines of Python: the oracle of its scripts.

There is no time in here: a lease is live until :meth:`LedgerModel.expire` says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from distbelief.app.runs.ledger import Claim, UnitState


@dataclass
class UnitModel:
    specification: dict[str, Any]
    lease_s: float
    fence: int
    state: UnitState = UnitState.OPEN
    owner: str = ""
    attempt: int = 0
    tries: int = 0
    live: bool = False
    report: dict[str, Any] = field(default_factory=dict)


@dataclass
class LedgerModel:
    """The units of one run that has begun under ``fence``."""

    fence: int
    attempts: int = 0
    units: dict[str, UnitModel] = field(default_factory=dict)

    def submit(self, unit: str, specification: dict[str, Any], lease_s: float, fence: int) -> None:
        at = self.units.get(unit)
        if at is None or at.fence < fence:
            self.units[unit] = UnitModel(specification, lease_s, fence)

    def claim(self, unit: str, claimer: str) -> Claim | None:
        at = self.units[unit]
        held = at.state is UnitState.LEASED and at.live
        if at.fence != self.fence or at.state is UnitState.DONE or (held and at.owner != claimer):
            return None
        if not held:
            self.attempts += 1
            at.state, at.owner, at.attempt, at.live = UnitState.LEASED, claimer, self.attempts, True
            at.tries += 1
        return Claim(unit, self.fence, at.attempt, at.lease_s, at.specification)

    def renew(self, claim: Claim) -> bool:
        at = self._claimed(claim)
        if at is None or at.state is not UnitState.LEASED:
            return False
        at.live = True
        return True

    def finish(self, claim: Claim, state: UnitState, report: dict[str, Any]) -> bool:
        at = self._claimed(claim)
        if at is not None and at.state is UnitState.LEASED:
            at.state, at.report = state, report
        return at is not None

    def release(self, claim: Claim) -> bool:
        at = self._claimed(claim)
        if at is not None and at.state is UnitState.LEASED:
            at.state = UnitState.OPEN
            at.tries -= 1
        return at is not None

    def expire(self, unit: str) -> None:
        self.units[unit].live = False

    def _claimed(self, claim: Claim) -> UnitModel | None:
        """The unit, if this claim was the last on it, under the fence of the run."""
        at = self.units[claim.unit]
        in_force = self.fence == claim.fence == at.fence
        return at if in_force and at.attempt == claim.attempt else None
