"""The report of a replica on a unit, as it lies in the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from distbelief.app.store.contract.parameters import Answer, Positions, Pushed


@dataclass
class UnitReport:
    """The report of a replica on one unit. ``loss_sum`` is over ``examples``, without L2.

    ``reached`` is the step at which it left the stream, ``waited_s`` how long it was held
    back because it was too far ahead.
    """

    steps: int = 0
    examples: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    pushes: int = 0
    refused: int = 0
    staleness: Counter[int] = field(default_factory=Counter)
    reached: int = 0
    waited_s: float = 0.0

    def note(self, pushed: Pushed, base: Positions) -> None:
        """Count a push, and for each shard the updates of others since it stood at ``base``."""
        self.pushes += 1
        self.refused += Answer.REFUSED in pushed.answers
        newer = pushed.positions.others - base.others
        for shard, answer in enumerate(pushed.answers):
            if answer is Answer.APPLIED:
                self.staleness[max(0, int(newer[shard]))] += 1

    def to_json(self) -> dict[str, Any]:
        staleness = {str(value): count for value, count in self.staleness.items()}
        return {**self.__dict__, "staleness": staleness}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> UnitReport:
        """Read what :meth:`to_json` made; raises ValueError or TypeError for anything else."""
        staleness = Counter({int(k): count for k, count in document["staleness"].items()})
        return _reports().validate_python({**document, "staleness": staleness})


@cache
def _reports() -> TypeAdapter[UnitReport]:
    return TypeAdapter(UnitReport)
