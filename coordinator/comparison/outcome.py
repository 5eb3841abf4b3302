"""What was measured of a trial: plain data, kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One run of a comparison; ``rate`` is None where a method has none."""

    method: str
    replicas: int
    rate: float | None
    seed: int

    @property
    def key(self) -> str:
        """The name of its file."""
        rate = "none" if self.rate is None else f"{self.rate:g}"
        return f"{self.method}-replicas{self.replicas}-rate{rate}-seed{self.seed}"

    def __str__(self) -> str:
        replicas = f"{self.replicas} replica{'s' if self.replicas > 1 else ''}"
        rate = "" if self.rate is None else f", rate {self.rate:g}"
        return f"{self.method}, {replicas}{rate}, seed {self.seed}"


class End(StrEnum):
    """How a trial ended."""

    ENDED = "ended"
    DIVERGED = "diverged"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Costs:
    """What a trial had used since its first values were there.

    ``seconds`` are of the clock, those of workers, servers and coordinator of processors, NaN
    where the system does not say. ``examples`` are those whose gradients were computed.
    ``bytes_in`` went to the parameter servers, ``bytes_out`` came from them.
    """

    seconds: float
    workers_s: float
    servers_s: float
    coordinator_s: float
    examples: float
    bytes_in: float
    bytes_out: float

    @property
    def cpu_s(self) -> float:
        return self.workers_s + self.servers_s + self.coordinator_s

    @property
    def bytes(self) -> float:
        return self.bytes_in + self.bytes_out


@dataclass(frozen=True)
class Point:
    """Parameters at a moment: their held-out ``metric`` and training ``loss``, what they cost.

    The loss is the objective: the mean over the training examples, and the penalty.
    """

    costs: Costs
    metric: float
    loss: float


@dataclass(frozen=True)
class Outcome:
    """A trial that was made. ``why`` is the reason why it ended, or the error.

    ``load`` is what this machine had to do beside it: its load average when the trial began.
    """

    trial: Trial
    end: End
    why: str
    points: tuple[Point, ...]
    load: float = math.nan

    @property
    def loss(self) -> float:
        """The lowest training loss; infinite if there was no end."""
        found = [each.loss for each in self.points if math.isfinite(each.loss)]
        return min(found, default=math.inf) if self.end is End.ENDED else math.inf

    @property
    def last_loss(self) -> float:
        """The training loss at the end; infinite if there was none."""
        last = self.points[-1].loss if self.points else math.inf
        return last if self.end is End.ENDED and math.isfinite(last) else math.inf

    @property
    def costs(self) -> Costs:
        """What it cost in all."""
        return self.points[-1].costs if self.points else NOTHING

    def first(self, good: Callable[[Point], bool]) -> Costs | None:
        """What it had cost where it was good for the first time; None if it never was."""
        return next((each.costs for each in self.points if good(each)), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON, in which no number is NaN or infinite."""
        points = [_plain({**asdict(each.costs), **_scores(each)}) for each in self.points]
        load = self.load if math.isfinite(self.load) else None
        facts = {"end": self.end.value, "why": self.why, "load": load, "points": points}
        return {"trial": asdict(self.trial), **facts}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Outcome:
        """Raises KeyError, TypeError or ValueError where it is none."""
        points = [
            {name: math.nan if value is None else float(value) for name, value in each.items()}
            for each in document["points"]
        ]
        return cls(
            Trial(**document["trial"]),
            End(document["end"]),
            str(document["why"]),
            tuple(map(_point, points)),
            math.nan if document["load"] is None else float(document["load"]),
        )


NOTHING = Costs(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def _point(numbers: dict[str, float]) -> Point:
    metric, loss = numbers.pop("metric"), numbers.pop("loss")
    return Point(Costs(**numbers), metric, loss)


def _scores(point: Point) -> dict[str, float]:
    return {"metric": point.metric, "loss": point.loss}


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: each if math.isfinite(each) else None for name, each in numbers.items()}
