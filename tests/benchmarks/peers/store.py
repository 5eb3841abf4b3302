"""What all contestants of part (a) do: push a gradient, fetch parameters, and both at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from peers.adagrad import Numbers, adagrad

RATE, FIRST_SQUARES, EPSILON = 0.05, 0.1, 1e-10


class Store(Protocol):
    """Holds parameters as float32 and applies Adagrad to them.

    ``push`` returns when the gradient has been applied; ``exchange`` pushes and returns the
    parameters after it, in one round trip where the library can.
    """

    def push(self, gradient: Numbers) -> object: ...

    def fetch(self) -> Numbers: ...

    def exchange(self, gradient: Numbers) -> Numbers: ...


def first_values(size: int) -> Numbers:
    return np.random.default_rng(1).standard_normal(size, np.float32)


def gradients(size: int) -> Numbers:
    return np.random.default_rng(2).standard_normal(size, np.float32)


class NumpyStore:
    """Parameters and Adagrad in NumPy, in the process that has it."""

    def __init__(self, values: Numbers) -> None:
        self._values = values.copy()
        self._squares = np.full_like(values, FIRST_SQUARES)
        self._spare = np.empty_like(values)

    def push(self, gradient: Numbers) -> None:
        adagrad(self._values, self._squares, gradient, self._spare, RATE, EPSILON)

    def fetch(self) -> Numbers:
        return self._values

    def exchange(self, gradient: Numbers) -> Numbers:
        self.push(gradient)
        return self._values


def measured(store: Store, size: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The work: ``calls`` of each kind; seconds of each call, and the last parameters."""
    gradient = gradients(size)

    def work(request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"push": [], "fetch": [], "both": []}
        for _ in range(request["calls"]):
            answer["push"].append(_timed(lambda: store.push(gradient)))
            answer["fetch"].append(_timed(store.fetch))
            answer["both"].append(_timed(lambda: store.exchange(gradient)))
        answer["values"] = [float(value) for value in store.fetch()[:: max(1, size // 8)]]
        return answer

    return work


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
