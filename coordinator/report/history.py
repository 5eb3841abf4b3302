"""The history of a run as a report has it: plain data. Times are seconds of training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.errors import ExitCode
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.coordinator.sandblaster.dispatch_log import Fate

if TYPE_CHECKING:  # who reads what happened draws nothing yet
    from distbelief.coordinator.report.arrays import Array
    from distbelief.coordinator.report.curves import Curves


@dataclass(frozen=True)
class UnitDone:
    """A unit of Downpour that a worker reported; ``loss`` is the mean over its examples.

    ``network`` is what it and those before it used of that.
    """

    time_s: float
    seen: float
    worker: str
    seconds: float
    examples: int
    loss: float
    pushes: int
    staleness: Counter[int]
    goodput: float | None = None
    network: NetworkUse = field(default_factory=NetworkUse)


@dataclass(frozen=True)
class Iteration:
    """An iteration of Sandblaster: the objective, and how the line search found its step."""

    time_s: float
    seen: float
    number: int
    loss: float
    gradient_norm: float
    step: float
    evaluations: int


@dataclass(frozen=True)
class HeldoutPoint:
    """A held-out evaluation, at the moment of its snapshot; ``measures`` are by name.

    ``number`` counts them, ``place`` is after how many passes or iterations it was.
    """

    number: int
    place: float
    time_s: float
    seen: float
    loss: float
    measures: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """Whether it is the score of a model: one that diverged answers nothing."""
        return math.isfinite(self.loss)


@dataclass(frozen=True)
class Dispatch:
    """A portion sent to a worker; seconds since the evaluation began, None if not known."""

    portion: int
    number: int
    worker: str
    sent: float
    began: float | None
    ended: float | None
    fate: Fate


@dataclass(frozen=True)
class EvaluatedBatch:
    """An evaluation of the batch, which ended at ``time_s``."""

    number: int
    time_s: float
    seconds: float
    dispatches: Sequence[Dispatch]

    @property
    def repeated(self) -> list[Dispatch]:
        """Backups, and portions that were sent again."""
        return [each for each in self.dispatches if each.number > 0]


@dataclass(frozen=True)
class Mark:
    """Something that a reader should know of; ``at`` is in seconds since 1970."""

    time_s: float
    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class Rates:
    """A sample of the parameters' learning rates, ascending, after some seconds."""

    time_s: float
    values: Array


@dataclass(frozen=True)
class Work:
    """Some work that a worker did in the ``seconds`` up to ``time_s``."""

    worker: str
    time_s: float
    seconds: float
    examples: float


@dataclass(frozen=True)
class History:
    """A run, as its folder tells it. ``seen`` anywhere counts examples looked at, NaN if unknown.

    ``outcome`` is empty while the run goes on, and where its coordinator was killed;
    ``running`` tells that it is known to go on.
    ``earlier`` compares it with the runs before it. ``folder`` is where runs are, None if only
    its events are known. ``model_file`` is None if there is none.
    ``environment`` has one entry for each coordinator, ``notes`` what is missing, and why.
    """

    run: str
    config: Mapping[str, Any]
    cluster: Mapping[str, Any]
    outcome: Mapping[str, Any]
    environment: Sequence[Mapping[str, Any]] = ()
    units: Sequence[UnitDone] = ()
    iterations: Sequence[Iteration] = ()
    heldout: Sequence[HeldoutPoint] = ()
    evaluations: Sequence[EvaluatedBatch] = ()
    marks: Sequence[Mark] = ()
    rates: Sequence[Rates] = ()
    notes: Sequence[str] = ()
    curves: Curves | None = None
    earlier: str = ""
    folder: Path | None = None
    model_file: Path | None = None
    ended_s: float = 0.0
    running: bool = False

    @property
    def minimises(self) -> bool:
        """Whether the run ends, or is to end, with L-BFGS."""
        return self.config.get("algorithm") != "downpour"

    @property
    def kept(self) -> HeldoutPoint | None:
        """The evaluation of the model that was saved, if its end says which one that was."""
        number = self.outcome.get("kept", {}).get("evaluation")
        return next((each for each in reversed(self.heldout) if each.number == number), None)

    @property
    def diverged(self) -> bool:
        """Whether its numbers left what can be held: it has no model, and no score counts."""
        return self.outcome.get("exit_code") == ExitCode.DIVERGED

    def unseen(self) -> History:
        """The run without anything that can be drawn."""
        return History(self.run, self.config, self.cluster, {})

    @property
    def n_train(self) -> float:
        """Training examples, NaN if they were not noted."""
        last = self.environment[-1] if self.environment else {}
        return float(last.get("training_examples") or math.nan)

    @cached_property
    def staleness(self) -> Counter[int]:
        return sum((unit.staleness for unit in self.units), Counter())

    @cached_property
    def work(self) -> list[Work]:
        """The work of the workers, as far as it was noted."""
        done = [Work(unit.worker, unit.time_s, unit.seconds, unit.examples) for unit in self.units]
        for evaluation in self.evaluations:
            portions = {each.portion for each in evaluation.dispatches}
            began = evaluation.time_s - evaluation.seconds
            done += [
                Work(each.worker, began + ended, ended - start, self.n_train / len(portions))
                for each in evaluation.dispatches
                if (start := each.began) is not None and (ended := each.ended) is not None
                if each.fate is not Fate.FAILED
            ]
        return done


def smooth(units: Sequence[UnitDone], most: int = 150) -> list[tuple[float, float, float]]:
    """(time, examples seen, mean loss) of at most ``most`` stretches of units, in their order.

    Losses that are not finite are left out.
    """
    finite = [unit for unit in units if unit.examples and math.isfinite(unit.loss)]
    n_parts = min(most, len(finite))
    cuts = [number * len(finite) // n_parts for number in range(n_parts + 1)] if finite else [0]
    points = []
    for start, stop in pairwise(cuts):
        part = finite[start:stop]
        n_examples = math.fsum(unit.examples for unit in part)
        loss = math.fsum(unit.loss * (unit.examples / n_examples) for unit in part)
        points.append((part[-1].time_s, part[-1].seen, loss))
    return points


def training(history: History) -> list[tuple[float, float, float]]:
    """(time, examples seen, loss): means of Downpour's units, then the objective of L-BFGS."""
    objective = [(each.time_s, each.seen, each.loss) for each in history.iterations]
    return [*smooth(history.units), *objective]
