"""A model whose runs last as long as a test wants; workers import this file by its name."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.model import Features, Targets

#: A coordinator, which tries a model, is not slowed down.
IN_WORKER = Path(sys.argv[0]).parent.name == "celery"


@dataclass(frozen=True)
class Paced(SoftmaxRegression):
    """A softmax regression that sleeps before each gradient until there is FOLDER/go.

    It computes the same whatever its options are.
    """

    folder: str
    seconds: float

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Any = None,
    ) -> float:
        if IN_WORKER and not (Path(self.folder) / "go").exists():
            time.sleep(self.seconds)
        return super().loss_and_gradient(parameters, features, targets, gradient)
