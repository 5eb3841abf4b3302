"""Models that take their time without using a core; workers import this file by its name.

They are logistic and softmax regressions, and compute the same whatever their options are. They are
slow in workers only, not where a coordinator tries them.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.linear import LogisticRegression, SoftmaxRegression
from distbelief.app.models.model import Features, Targets, Task

IN_WORKER = "celery" in "/".join(Path(sys.argv[0]).parts[-2:])


class Slow:
    """Waits before each gradient."""

    def wait(self) -> None:
        raise NotImplementedError

    def loss_and_gradient(self, *arrays: Any, **words: Any) -> float:
        if IN_WORKER:
            self.wait()
        loss: float = super().loss_and_gradient(*arrays, **words)  # type: ignore[misc]
        return loss


@dataclass(frozen=True)
class Sleepy(Slow, SoftmaxRegression):
    """Sleeps before each gradient; meanwhile there is FOLDER/busy-PID, if there is a FOLDER."""

    seconds: float = 0.0
    folder: str = ""

    def wait(self) -> None:
        busy = Path(self.folder) / f"busy-{os.getpid()}" if self.folder else None
        if busy:
            busy.touch()
        time.sleep(self.seconds)
        if busy:
            busy.unlink()


@dataclass(frozen=True)
class SleepyClicks(Slow, LogisticRegression):
    """The same with sparse weights; what a narrowed one sleeps is no less."""

    seconds: float = 0.0

    def wait(self) -> None:
        time.sleep(self.seconds)


def sleepy_clicks(n_features: int, n_classes: int, seconds: float) -> SleepyClicks:
    """For sparse data of two classes."""
    return SleepyClicks(n_features, seconds, sparse=True)


@dataclass(frozen=True)
class Straggling(Slow, SoftmaxRegression):
    """One process sleeps before each gradient: the first that writes its number to FOLDER."""

    folder: str = ""
    seconds: float = 0.0

    def wait(self) -> None:
        straggler = Path(self.folder) / "straggler"
        with suppress(FileExistsError), straggler.open("x") as file:
            file.write(str(os.getpid()))
        if straggler.read_text() == str(os.getpid()):
            time.sleep(self.seconds)


@dataclass(frozen=True)
class Dawdling(Slow, SoftmaxRegression):
    """Sleeps before each gradient as long as there is FOLDER/slow."""

    folder: str = ""
    seconds: float = 0.05

    def wait(self) -> None:
        if (Path(self.folder) / "slow").exists():
            time.sleep(self.seconds)


@dataclass(frozen=True)
class Paced(Slow, SoftmaxRegression):
    """Sleeps before each gradient until there is FOLDER/go."""

    folder: str
    seconds: float

    def wait(self) -> None:
        if not (Path(self.folder) / "go").exists():
            time.sleep(self.seconds)


@dataclass(frozen=True)
class Sleeper:
    """So many numbers, of which there is nothing to learn: a step is some sleep, wherever it is."""

    seconds: float = 0.005
    numbers: int = 1_000_000

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("weights", (self.numbers,)),)

    @property
    def task(self) -> Task:
        return Task.REGRESSION

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(self.numbers)

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        began = time.perf_counter()
        gradient.fill(0)
        time.sleep(max(0.0, self.seconds - (time.perf_counter() - began)))
        return 1.0

    def predict(self, parameters: Vector, features: Features) -> Vector:
        return np.zeros(features.shape[0])


def sleeper(
    n_features: int, n_classes: int, seconds: float = 0.005, numbers: int = 1_000_000
) -> Sleeper:
    return Sleeper(seconds, numbers)
