"""The report of a replica on a unit, as it lies in the ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from distbelief.app.client.traffic import Moved
from distbelief.app.store.contract.parameters import Answer, Positions, Pushed

T = TypeVar("T")


@dataclass
class UnitReport:
    """The report of a replica on one unit. ``loss_sum`` is over ``examples``, without L2.

    ``reached`` is the step at which it left the stream, ``waited_s`` how long it was held
    back because it was too far ahead. ``exchange_s`` is how long its steps waited for exchanges
    with the parameter servers, to and from which so many bytes were ``sent`` and ``received``.
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
    exchange_s: float = 0.0
    sent: int = 0
    received: int = 0

    def note(self, pushed: Pushed, base: Positions) -> None:
        """Count a push, and for each shard the updates of others since it stood at ``base``."""
        self.pushes += 1
        self.refused += Answer.REFUSED in pushed.answers
        newer = pushed.positions.others - base.others
        for shard, answer in enumerate(pushed.answers):
            if answer is Answer.APPLIED:
                self.staleness[max(0, int(newer[shard]))] += 1

    def note_moved(self, moved: Moved) -> None:
        """Count the bytes of the unit."""
        self.sent += moved.sent
        self.received += moved.received

    @contextmanager
    def exchanging(self) -> Iterator[None]:
        """Count the time for which the steps wait for an exchange."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.exchange_s += time.perf_counter() - began

    def awaited(self, future: Future[T]) -> T:
        """The result of an exchange, for which the steps wait."""
        with self.exchanging():
            return future.result()

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
