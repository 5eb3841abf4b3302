"""Models that take their time without using a core; workers import this file by its name.

They are softmax regressions, and compute the same whatever their options are.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from app.layout import Vector
from app.models.linear import SoftmaxRegression
from app.models.model import Features, Targets

#: Gradients that this process has computed.
_calls = itertools.count(1)


@dataclass(frozen=True)
class Sleepy(SoftmaxRegression):
    """Sleeps before each gradient; meanwhile there is FOLDER/busy-PID, if there is a FOLDER."""

    seconds: float = 0.0
    folder: str = ""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        busy = Path(self.folder) / f"busy-{os.getpid()}" if self.folder else None
        if busy:
            busy.touch()
        time.sleep(self.seconds)
        if busy:
            busy.unlink()
        return super().loss_and_gradient(parameters, features, targets, gradient)


@dataclass(frozen=True)
class Straggling(SoftmaxRegression):
    """Sleeps before one in some gradients of each process."""

    every: int = 1
    seconds: float = 0.0

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        if next(_calls) % self.every == 0:
            time.sleep(self.seconds)
        return super().loss_and_gradient(parameters, features, targets, gradient)
