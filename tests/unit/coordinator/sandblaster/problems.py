"""Named test problems with their gradients, and a driver for the minimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import rosen, rosen_der

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster import lbfgs, owlqn
from distbelief.coordinator.sandblaster.descent import (
    DescentState,
    Evaluate,
    Iterated,
    Minimiser,
    Settings,
)

Array = npt.NDArray[np.float64]
Function = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class Problem:
    """A function that gives loss and gradient, and where to start."""

    function: Function
    start: Array


def himmelblau(point: Array) -> tuple[float, Array]:
    """Himmelblau 1972: four minima, all of them 0."""
    x, y = point
    a, b = x * x + y - 11, x + y * y - 7
    return a * a + b * b, np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])


def beale(point: Array) -> tuple[float, Array]:
    """Beale 1958: the minimum is 0 at (3, 0.5)."""
    x, y = point
    powers = np.array([1, 2, 3])
    residuals = np.array([1.5, 2.25, 2.625]) - x * (1 - y**powers)
    by_x, by_y = y**powers - 1, x * powers * y ** (powers - 1)
    return float(residuals @ residuals), 2 * np.array([residuals @ by_x, residuals @ by_y])


def quadratic(condition: float, size: int = 50) -> Problem:
    """Convex, its eigenvalues spread evenly on a logarithmic scale up to 1."""
    random = np.random.default_rng(0)
    basis, _ = np.linalg.qr(random.normal(size=(size, size)))
    matrix = basis * np.logspace(-np.log10(condition), 0, size) @ basis.T
    solution = random.normal(size=size)

    def function(x: Array) -> tuple[float, Array]:
        gradient = matrix @ (x - solution)
        return 0.5 * float((x - solution) @ gradient), gradient

    return Problem(function, np.zeros(size))


def logistic() -> Problem:
    """Logistic regression with L2 on 200 examples of 20 features."""
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 20))
    y = np.sign(x @ random.normal(size=20) + random.normal(size=200))

    def function(w: Array) -> tuple[float, Array]:
        margins = y * (x @ w)
        loss = float(np.logaddexp(0, -margins).mean()) + 0.005 * float(w @ w)
        return loss, 0.01 * w - x.T @ (y / (1 + np.exp(margins))) / len(y)

    return Problem(function, np.zeros(20))


def rosenbrock(x: Array) -> tuple[float, Array]:
    return float(rosen(x)), rosen_der(x)


PROBLEMS = {
    "Rosenbrock": Problem(rosenbrock, np.array([-1.2, 1.0])),
    "Rosenbrock in ten dimensions": Problem(rosenbrock, np.full(10, -1.0)),
    "Himmelblau": Problem(himmelblau, np.zeros(2)),
    "Beale": Problem(beale, np.zeros(2)),
    "a quadratic of condition 1e2": quadratic(1e2),
    "a quadratic of condition 1e4": quadratic(1e4),
    "a quadratic of condition 1e6": quadratic(1e6, size=25),
    "logistic regression": logistic(),
}


class Space(Protocol):
    """A vector space that this process can look into."""

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]: ...

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None: ...

    def drop(self, names: Sequence[str]) -> None: ...

    def read(self, name: str) -> Array: ...

    def write(self, name: str, values: Array) -> None: ...

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None: ...

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None: ...

    def sparsity(self, name: str) -> tuple[float, int]: ...


class Arrays(dict[str, Array]):
    """The smallest vector space: NumPy arrays by name.

    The last ``n_biases`` numbers of each are covered by no L1 term.
    ``calls`` holds the operations asked for, ``most`` the number of vectors at the peak;
    ``after`` is called after each operation.
    """

    def __init__(self, start: Array, n_biases: int = 0) -> None:
        super().__init__(x0=start)
        self.covered = len(start) - n_biases
        self.calls: list[str] = []
        self.most = 1
        self.after: Callable[[], None] = lambda: None

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.calls.append("dots")
        self.after()
        return [float(self[a] @ self[b]) for a, b in pairs]

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None:
        assert out not in [name for _, name in terms]
        self.calls.append("combine")
        self.write(out, np.sum([c * self[name] for c, name in terms], axis=0))
        self.after()

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        assert out not in (point, gradient)
        self.calls.append("pseudo_gradient")
        values = self[gradient].copy()
        for i, (x, g) in enumerate(zip(self[point][: self.covered], values, strict=False)):
            ends = (g + l1 if x >= 0 else g - l1), (g - l1 if x <= 0 else g + l1)
            # The derivatives to both sides: the one that descends, if any does.
            right, left = ends
            values[i] = right if right < 0 or x != 0 else max(left, 0.0)
        self.write(out, values)
        self.after()

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        assert out not in (point, pseudo_gradient, direction)
        self.calls.append("orthant_step")
        values = self[point] + step * self[direction]
        for i in range(self.covered):
            x, v, d = self[point][i], self[pseudo_gradient][i], self[direction][i]
            orthant = np.sign(x) or -np.sign(v)
            values[i] = max(orthant * (x + step * d), 0.0) * orthant
        self.write(out, values)
        self.after()

    def sparsity(self, name: str) -> tuple[float, int]:
        self.calls.append("sparsity")
        self.after()
        weights = self[name][: self.covered]
        return float(np.abs(weights).sum()), int(np.count_nonzero(weights))

    def drop(self, names: Sequence[str]) -> None:
        for name in names:
            self.pop(name, None)
        self.after()

    def read(self, name: str) -> Array:
        return self[name]

    def write(self, name: str, values: Array) -> None:
        self[name] = values
        self.most = max(self.most, len(self))


class Stored:
    """The vectors of a memory store, as the driver's adapter names them."""

    def __init__(self, start: Array, n_biases: int = 0, **layout: int) -> None:
        weights, biases = (
            TensorSpec("w", (len(start) - n_biases,)),
            TensorSpec("b", (n_biases,), False),
        )
        tensors = (weights, biases) if n_biases else (weights,)
        self._store = MemoryVectorStore(Layout(tensors, n_servers=1, **layout), fence=1)
        self._store.create(start)
        self._store.copy("params", "vec:x0")
        self._evaluation = 0

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return self._store.dots([(f"vec:{a}", f"vec:{b}") for a, b in pairs])

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None:
        self._store.combine(f"vec:{out}", [(c, f"vec:{name}") for c, name in terms])

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        self._store.pseudo_gradient(f"vec:{out}", f"vec:{point}", f"vec:{gradient}", l1)

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        self._store.orthant_step(
            f"vec:{out}", f"vec:{point}", f"vec:{pseudo_gradient}", f"vec:{direction}", step
        )

    def sparsity(self, name: str) -> tuple[float, int]:
        return self._store.sparsity(f"vec:{name}")

    def drop(self, names: Sequence[str]) -> None:
        self._store.drop(*(f"vec:{name}" for name in names))

    def read(self, name: str) -> Array:
        return self._store.fetch(f"vec:{name}").vector.astype(np.float64)

    def write(self, name: str, values: Array) -> None:
        self._evaluation += 1
        self._store.begin(self._evaluation, f"vec:{name}")
        self._store.accumulate(1, self._evaluation, f"vec:{name}", 0, values)


@dataclass
class Solved:
    """What a minimisation did: its committed iterations, its end, its function evaluations."""

    news: list[Iterated]
    reason: EndReason
    evaluations: int

    @property
    def losses(self) -> list[float]:
        return [each.state.loss for each in self.news]

    @property
    def last(self) -> DescentState:
        return self.news[-1].state


def solve(
    function: Function,
    space: Space,
    settings: Settings,
    start: str | DescentState = "x0",
    on_event: Callable[[Evaluate | Iterated], None] = lambda event: None,
    l1: float | None = None,
) -> Solved:
    """Serve the minimiser to its end; ``on_event`` sees every request and every iteration.

    With ``l1`` it is that for an L1 term.
    """
    solved = Solved([], EndReason.STALLED, 0)
    minimiser: Minimiser = (
        lbfgs.minimise(space, start, settings)
        if l1 is None
        else owlqn.minimise(space, start, settings, l1)
    )
    try:
        event = next(minimiser)
        while True:
            on_event(event)
            if isinstance(event, Iterated):
                solved.news.append(event)
                event = next(minimiser)
                continue
            solved.evaluations += 1
            loss, gradient = function(space.read(event.point))
            if np.isfinite(loss):  # otherwise workers add no gradient
                space.write(event.gradient, gradient)
            event = minimiser.send(loss)
    except StopIteration as end:
        solved.reason = end.value
    return solved
