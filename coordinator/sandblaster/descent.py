"""Minimisation over named vectors as a dialogue: requests, committed states, an end.

Vectors have names, and every new vector gets a new one: an operation that is asked for
twice gives the same result. The iteration is committed by its :class:`DescentState`, a small
document that names the vectors in force; what it does not name may be dropped. How an
iteration is made is for a :class:`Method` to know (:mod:`distbelief.coordinator.sandblaster.lbfgs`,
:mod:`distbelief.coordinator.sandblaster.owlqn`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from distbelief.coordinator.progress.outcome import EndReason

Term = tuple[float, str]

#: One small decrease of the loss may be a short step; so many in a row are the end.
SMALL_IN_A_ROW = 3


class VectorSpace(Protocol):
    """Named vectors of one length, wherever they live."""

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The dot product of each pair."""
        ...

    def combine(self, out: str, terms: Sequence[Term]) -> None:
        """Write the sum of coefficient times vector to ``out``, which is none of the terms."""
        ...

    def drop(self, names: Sequence[str]) -> None:
        """Forget vectors; no error if there are none."""
        ...


@dataclass(frozen=True)
class Settings:
    """Settings of a minimisation: when to stop, and how much to remember.

    Args:
        history: curvature pairs kept, m; 0 is steepest descent.
        max_iterations: at most so many.
        gradient_tolerance: converged when the 2-norm of the gradient is at most this share of
            the first one.
        decrease_tolerance: converged when some iterations in a row lower the loss by at most
            this share of it each.
    """

    history: int = 10
    max_iterations: int = 100
    gradient_tolerance: float = 1e-6
    decrease_tolerance: float = 1e-9


@dataclass(frozen=True)
class DescentState:
    """An iteration, committed: enough for a new coordinator to go on.

    ``pairs`` are the numbers i of the pairs s[i], y[i] in force, oldest first; ``gram``
    is B as nested lists; ``point`` and ``gradient`` are names. With an L1 term ``gradient``
    is the pseudo-gradient, and ``nonzeros`` counts the weights that are not zero
    (:mod:`distbelief.coordinator.sandblaster.owlqn`). ``first_norm`` is that of the first
    gradient, by which others are small; ``n_small`` counts the last iterations in a row that
    hardly lowered the loss.
    """

    iteration: int
    loss: float
    point: str
    gradient: str
    pairs: tuple[int, ...]
    gram: tuple[tuple[float, ...], ...]
    nonzeros: int | None = None
    first_norm: float = 1.0
    n_small: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> DescentState:
        pairs, gram = tuple(document["pairs"]), tuple(map(tuple, document["gram"]))
        return cls(**{**document, "pairs": pairs, "gram": gram})

    @property
    def names(self) -> list[str]:
        """The basis, in the order of ``gram``."""
        return [*(f"s{i}" for i in self.pairs), *(f"y{i}" for i in self.pairs), self.gradient]

    @property
    def in_force(self) -> list[str]:
        """All vectors that somebody needs who goes on from here."""
        return [*self.names, self.point]

    @property
    def gradient_norm(self) -> float:
        return math.sqrt(self.gram[-1][-1])

    def begun(self) -> DescentState:
        """The state of a start: its gradient is the first one."""
        return replace(self, first_norm=self.gradient_norm)

    def after(self, before: DescentState, decrease_tolerance: float) -> DescentState:
        """The state of an iteration that began at ``before``."""
        largest = max(abs(before.loss), abs(self.loss))
        small = before.loss - self.loss <= decrease_tolerance * largest
        n_small = before.n_small + 1 if small else 0
        return replace(self, first_norm=before.first_norm, n_small=n_small)


@dataclass(frozen=True)
class Evaluate:
    """A request: write the gradient at ``point`` to ``gradient``, and send the loss.

    There need be no gradient where the loss is not finite.
    """

    point: str
    gradient: str


@dataclass(frozen=True)
class Iterated:
    """An iteration is done. ``step`` 0 and ``evaluations`` 1 are those of the start."""

    state: DescentState
    step: float
    evaluations: int


Minimiser = Generator[Evaluate | Iterated, float, EndReason]

#: To begin, or to make one iteration; None where there is no finite loss, or no lower one.
Attempt = Generator[Evaluate | Iterated, float, Iterated | None]


class Method(Protocol):
    """The way to evaluate and lower one kind of objective."""

    def begin(self, point: str) -> Attempt:
        """Evaluate the objective where the minimisation begins."""
        ...

    def iterate(self, state: DescentState, tag: str) -> Attempt:
        """One iteration: direction, line search, update.

        ``tag`` makes the names of the new vectors new.
        """
        ...


def descend(
    space: VectorSpace, start: str | DescentState, settings: Settings, method: Method
) -> Minimiser:
    """Minimise from the vector named ``start``, or go on from a committed state.

    Yields an :class:`Evaluate` for each evaluation and receives the loss, which may be
    infinite or NaN; yields an :class:`Iterated` after each iteration (what is sent then
    is ignored). Returns why it stopped; the last state is the best point.
    """
    if isinstance(start, DescentState):
        state = start
    else:
        begun = yield from method.begin(start)
        if begun is None:
            return EndReason.DIVERGED
        begun = replace(begun, state=begun.state.begun())
        state = begun.state
        yield begun
    while True:
        if state.gradient_norm <= settings.gradient_tolerance * state.first_norm:
            return EndReason.GRADIENT
        if state.n_small >= SMALL_IN_A_ROW:
            return EndReason.DECREASE
        if state.iteration >= settings.max_iterations:
            return EndReason.ITERATIONS
        committed = state
        moved = yield from method.iterate(state, f"{state.iteration + 1}")
        if moved is None and state.pairs:
            # The history misled the search: try once more along the gradient alone.
            state = replace(state, pairs=(), gram=((state.gram[-1][-1],),))
            moved = yield from method.iterate(state, f"{state.iteration + 1}r")
        if moved is None:
            return EndReason.STALLED
        moved = replace(moved, state=moved.state.after(committed, settings.decrease_tolerance))
        state = moved.state
        yield moved
        # Only now: until the new state was committed, the old one was in force.
        space.drop([name for name in committed.in_force if name not in state.in_force])
