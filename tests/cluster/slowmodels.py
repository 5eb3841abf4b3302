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

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import LogisticRegression, SoftmaxRegression
from distbelief.app.models.model import Features, Targets

IN_WORKER = Path(sys.argv[0]).parent.name == "celery"


@dataclass(frozen=True)
class Sleepy(SoftmaxRegression):
    """Sleeps before each gradient; meanwhile there is FOLDER/busy-PID, if there is a FOLDER."""

    seconds: float = 0.0
    folder: str = ""

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Any = None,
    ) -> float:
        busy = Path(self.folder) / f"busy-{os.getpid()}" if self.folder and IN_WORKER else None
        if busy:
            busy.touch()
        time.sleep(self.seconds if IN_WORKER else 0)
        if busy:
            busy.unlink()
        return super().loss_and_gradient(parameters, features, targets, gradient)


@dataclass(frozen=True)
class SleepyClicks(LogisticRegression):
    """The same with sparse weights; what a narrowed one sleeps is no less."""

    seconds: float = 0.0

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Any = None,
    ) -> float:
        time.sleep(self.seconds if IN_WORKER else 0)
        return super().loss_and_gradient(parameters, features, targets, gradient)


def sleepy_clicks(n_features: int, n_classes: int, seconds: float) -> SleepyClicks:
    """For sparse data of two classes."""
    return SleepyClicks(n_features, seconds, sparse=True)


@dataclass(frozen=True)
class Straggling(SoftmaxRegression):
    """One process sleeps before each gradient: the first that writes its number to FOLDER."""

    folder: str = ""
    seconds: float = 0.0

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Any = None,
    ) -> float:
        straggler = Path(self.folder) / "straggler"
        if IN_WORKER:
            with suppress(FileExistsError), straggler.open("x") as file:
                file.write(str(os.getpid()))
            if straggler.read_text() == str(os.getpid()):
                time.sleep(self.seconds)
        return super().loss_and_gradient(parameters, features, targets, gradient)


@dataclass(frozen=True)
class Dawdling(SoftmaxRegression):
    """Sleeps before each gradient as long as there is FOLDER/slow."""

    folder: str = ""
    seconds: float = 0.05

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Any = None,
    ) -> float:
        if IN_WORKER and (Path(self.folder) / "slow").exists():
            time.sleep(self.seconds)
        return super().loss_and_gradient(parameters, features, targets, gradient)
