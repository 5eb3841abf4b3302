"""What all contestants of part (c) minimise, and what they answer.

The mean of the logistic losses of a softmax model over all examples, and ``l2 / 2`` times the
sum of the squared weights (not of the biases), from zero, by L-BFGS with 10 pairs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.sources import synthetic

Numbers = npt.NDArray[np.float64]

L2, HISTORY, CLASSES = 1e-4, 10, 10
SEED = 1


def data(options: dict[str, Any]) -> tuple[Path, Path]:
    """The files x.npy (float32) and y.npy of the problem, written once."""
    examples, features = options["examples"], options["features"]
    folder = Path(options["data"]) / f"softmax-{examples}-{features}"
    x, y = folder / "x.npy", folder / "y.npy"
    if not y.exists():
        folder.mkdir(parents=True, exist_ok=True)
        problem = synthetic.softmax(examples, features, CLASSES, SEED)
        np.save(x, problem.features)
        np.save(y, problem.targets)
    return x, y


def loaded(options: dict[str, Any]) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """Features in double precision, shape (n, d), and labels."""
    x, y = data(options)
    return np.load(x).astype(np.float64), np.load(y)


class ObjectiveTrace:
    """When an objective was reached: seconds since the beginning, and the objective."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.points: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def reached(self, objective: float) -> None:
        self.points.append((self.seconds, float(objective)))

    def answer(self, iterations: int) -> dict[str, Any]:
        return {"seconds": self.seconds, "iterations": iterations, "course": self.points}
