"""What all contestants of part (b) share: the same data, first values, evaluation and clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contest.clock import Clock
from distbelief.app.models.mlp import MLP

Numbers = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """Arrays that part (b) wrote, so that all train on, and are judged by, the same examples.

    ``first`` are the initial parameters, flat, in the order of our ``MLP``.
    """

    x: Numbers
    y: Labels
    x_heldout: Numbers
    y_heldout: Labels
    first: Numbers
    hidden: int
    batch: int
    rate: float
    first_squares: float
    epsilon: float

    @classmethod
    def load(cls, options: dict[str, Any]) -> Digits:
        with np.load(options["arrays"]) as found:
            arrays = {name: found[name] for name in ("x", "y", "x_heldout", "y_heldout", "first")}
        names = ("hidden", "batch", "rate", "first_squares", "epsilon")
        return cls(**arrays, **{name: options[name] for name in names})

    @property
    def model(self) -> MLP:
        return MLP(self.x.shape[1], int(self.y_heldout.max()) + 1, (self.hidden,))

    def part(self, index: int, n_parts: int) -> tuple[Numbers, Labels]:
        """The examples of one of ``n_parts`` workers."""
        return self.x[index::n_parts], self.y[index::n_parts]

    def accuracy(self, parameters: Numbers) -> float:
        found = self.model.predict(parameters, self.x_heldout)
        return float(np.mean(np.argmax(found, axis=1) == self.y_heldout))


class Minibatches:
    """Minibatches of a worker's examples, in a new order in each pass."""

    def __init__(self, x: Numbers, y: Labels, batch: int, seed: int) -> None:
        self._x, self._y, self._batch = x, y, batch
        self._random = np.random.default_rng(seed)
        self._order, self._next = self._random.permutation(len(x)), 0

    def next(self) -> tuple[Numbers, Labels]:
        if self._next >= len(self._order):
            self._order, self._next = self._random.permutation(len(self._x)), 0
        rows = self._order[self._next : self._next + self._batch]
        self._next += self._batch
        return self._x[rows], self._y[rows]


@dataclass(frozen=True)
class Budget:
    """How far a training goes: ``minibatches`` at most, with an evaluation after every ``every``
    and an end at the ``target``; without a target nothing is evaluated.
    """

    minibatches: int
    every: int
    target: float | None

    @classmethod
    def of(cls, request: dict[str, Any]) -> Budget:
        return cls(request["minibatches"], request["every"], request["target"])

    def stop(self, done: int) -> int:
        """The next count of minibatches at which somebody looks."""
        if self.target is None:
            return self.minibatches
        return min(self.minibatches, (done // self.every + 1) * self.every)


@dataclass
class Record:
    """The clock of a training, and what it has reached."""

    budget: Budget
    clock: Clock = field(default_factory=Clock)
    trace: list[tuple[int, float, float]] = field(default_factory=list)

    def judge(self, minibatches: int, accuracy: float) -> bool:
        """Note a held-out accuracy; whether it is good enough."""
        self.trace.append((minibatches, self.clock.wall, accuracy))
        return self.budget.target is not None and accuracy >= self.budget.target

    def answer(self, minibatches: int) -> dict[str, Any]:
        """To be asked for while all processes of the training still live."""
        wall, cpu, target = self.clock.wall, self.clock.cpu, self.budget.target
        reached = target is not None and self.trace[-1][2] >= target
        return {
            "minibatches": minibatches,
            "rate": minibatches / wall,
            "cpu_per_minibatch": cpu / minibatches,
            "seconds": wall if reached else None,
            "cpu": cpu if reached else None,
            "best": max((each[2] for each in self.trace), default=None),
            "trace": self.trace,
        }


def meeting(folder: str, name: str) -> Path:
    """A file that does not exist yet, for processes to find one another."""
    place = Path(folder).resolve() / name
    place.unlink(missing_ok=True)
    return place
