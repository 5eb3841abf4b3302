"""Models as a user would write them; workers import this file by its name.

They are softmax regressions, so that they really train. What they do beside happens in workers
only, not where a coordinator tries them.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.model import Features, Targets

DEADLINE_S = 300.0

IN_WORKER = "celery" in "/".join(Path(sys.argv[0]).parts[-2:])

#: Gradients that this process has computed.
_calls = itertools.count(1)


def Own(n_features: int, n_classes: int, *, rate: float = 1.0) -> _Hooked:  # noqa: N802
    """Nothing special but an option."""
    assert rate == 0.5
    return _Hooked(n_features, n_classes, lambda: None)


def Failing(n_features: int, n_classes: int) -> _Hooked:  # noqa: N802
    """Cannot compute a gradient."""

    def fail() -> None:
        raise ArithmeticError("my own mistake")

    return _Hooked(n_features, n_classes, fail)


def Crashing(n_features: int, n_classes: int) -> _Hooked:  # noqa: N802
    """Takes its process along, as a fault in a library of C would."""
    return _Hooked(n_features, n_classes, lambda: os.kill(os.getpid(), signal.SIGSEGV))


def Waiting(n_features: int, n_classes: int, *, folder: str, calls: int) -> _Hooked:  # noqa: N802
    """Waits before gradient number ``calls`` of a process until FOLDER/go is there.

    While it waits there is FOLDER/waiting-PID.
    """

    def wait() -> None:
        if next(_calls) != calls:
            return
        go, deadline = Path(folder) / "go", time.monotonic() + DEADLINE_S
        (Path(folder) / f"waiting-{os.getpid()}").touch()
        while not go.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{go} did not come")
            time.sleep(0.01)

    return _Hooked(n_features, n_classes, wait)


class _Hooked:
    """A softmax regression that calls ``before`` ahead of each gradient."""

    def __init__(self, n_features: int, n_classes: int, before: Callable[[], None]) -> None:
        self._inner = SoftmaxRegression(n_features, n_classes)
        self._before = before
        self.tensors = self._inner.tensors
        self.task = self._inner.task
        self.initial = self._inner.initial
        self.predict = self._inner.predict

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        if IN_WORKER:
            self._before()
        return self._inner.loss_and_gradient(parameters, features, targets, gradient)


class Centred:
    """A softmax regression of features less their mean, which is a statistic, not trained.

    Training takes the mean of each minibatch.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        self._inner = SoftmaxRegression(n_features, n_classes)
        self.task = self._inner.task
        self.n_statistics = n_features
        mean = TensorSpec("mean", (n_features,), penalised=False)
        self.tensors = (*self._inner.tensors, mean)

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(sum(tensor.size for tensor in self.tensors))

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        trained, centred = parameters[: -self.n_statistics], features - features.mean(axis=0)
        gradient[-self.n_statistics :] = 0
        own = gradient[: -self.n_statistics]
        return self._inner.loss_and_gradient(trained, centred, targets, own)

    def loss(self, parameters: Vector, features: Features, targets: Targets) -> float:
        probabilities = self.predict(parameters, features)
        return float(-np.log(probabilities[np.arange(len(targets)), targets]).mean())

    def predict(self, parameters: Vector, features: Features) -> Vector:
        mean = parameters[-self.n_statistics :]
        return self._inner.predict(parameters[: -self.n_statistics], features - mean)

    def statistics(self, parameters: Vector, features: Features) -> Vector:
        mean: Vector = features.mean(axis=0)
        return mean
