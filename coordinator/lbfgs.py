"""Vector-free L-BFGS: the coordinator holds a small matrix and never a vector.

Notation: s[i] = x[i+1] - x[i], y[i] = g[i+1] - g[i], g the gradient. The basis is
s[k-h], ..., s[k-1], y[k-h], ..., y[k-1], g[k]; its Gram matrix B (2h+1 on a side) is all
that the two-loop recursion (Nocedal & Wright 2006, Alg. 7.4) needs to give the direction
as coefficients over the basis (Chen, Wang and Zhou, NIPS 2014). So an iteration asks the
vector space for one round of dot products and one linear combination, whatever h is.

Vectors have names, and every new vector gets a new one: an operation that is asked for
twice gives the same result. The iteration is committed by its :class:`State`, a small
document that names the vectors in force; what it does not name may be dropped.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coordinator.line_search import Point, low_enough, strong_wolfe
from coordinator.outcome import EndReason

Matrix = npt.NDArray[np.float64]
Term = tuple[float, str]

#: A pair with s.y below this share of ||s|| ||y|| has no usable curvature and is left out.
CURVATURE = 1e-10


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
    """When to stop, and how much to remember.

    Args:
        history: curvature pairs kept, m; 0 is steepest descent.
        max_iterations: at most so many.
        gradient_tolerance: converged when the 2-norm of the gradient is at most this.
        decrease_tolerance: converged when an iteration lowers the loss by at most this,
            relative to max(|loss|, 1).
    """

    history: int = 10
    max_iterations: int = 100
    gradient_tolerance: float = 1e-5
    decrease_tolerance: float = 1e-9


@dataclass(frozen=True)
class State:
    """An iteration, committed: enough for a new coordinator to go on.

    ``pairs`` are the numbers i of the pairs s[i], y[i] in force, oldest first; ``gram``
    is B as nested lists; ``point`` and ``gradient`` are names.
    """

    iteration: int
    loss: float
    point: str
    gradient: str
    pairs: tuple[int, ...]
    gram: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> State:
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


@dataclass(frozen=True)
class Evaluate:
    """A request: write the gradient at ``point`` to ``gradient``, and send the loss.

    There need be no gradient where the loss is not finite.
    """

    point: str
    gradient: str


@dataclass(frozen=True)
class Iterated:
    """News: an iteration is done. ``step`` 0 and ``evaluations`` 1 are those of the start."""

    state: State
    step: float
    evaluations: int


Minimiser = Generator[Evaluate | Iterated, float, EndReason]


def minimise(space: VectorSpace, start: str | State, settings: Settings) -> Minimiser:
    """Minimise from the vector named ``start``, or go on from a committed state.

    Yields an :class:`Evaluate` for each evaluation and receives the loss, which may be
    infinite or NaN; yields an :class:`Iterated` after each iteration (what is sent then
    is ignored). Returns why it stopped; the last state is the best point.
    """
    if isinstance(start, State):
        state = start
    else:
        loss = yield Evaluate(start, "g0")
        square = space.dots([("g0", "g0")])[0] if math.isfinite(loss) else math.nan
        if not math.isfinite(square):
            return EndReason.DIVERGED
        state = State(0, loss, start, "g0", (), ((square,),))
        yield Iterated(state, 0.0, 1)
    while True:
        if state.gradient_norm <= settings.gradient_tolerance:
            return EndReason.GRADIENT
        if state.iteration >= settings.max_iterations:
            return EndReason.ITERATIONS
        committed = state
        moved = yield from _iterate(space, state, settings.history, f"{state.iteration + 1}")
        if moved is None and state.pairs:
            # The history misled the search: try once more along the gradient alone.
            state = replace(state, pairs=(), gram=((state.gram[-1][-1],),))
            tag = f"{state.iteration + 1}r"
            moved = yield from _iterate(space, state, settings.history, tag)
        if moved is None:
            return EndReason.STALLED
        decrease = state.loss - moved.state.loss
        scale = max(abs(state.loss), abs(moved.state.loss), 1.0)
        state = moved.state
        yield moved
        # Only now: until the new state was committed, the old one was in force.
        space.drop([name for name in committed.in_force if name not in state.in_force])
        if decrease <= settings.decrease_tolerance * scale:
            return EndReason.DECREASE


def direction(gram: Matrix) -> Matrix:
    """Coefficients of -H g over the basis, from its Gram matrix: shape (2h+1,)."""
    size = len(gram)
    h = size // 2
    delta = np.zeros(size)
    delta[-1] = -1.0
    alpha = np.zeros(h)
    for i in reversed(range(h)):
        alpha[i] = delta @ gram[:, i] / gram[i, h + i]
        delta[h + i] -= alpha[i]
    if h:
        delta *= gram[h - 1, 2 * h - 1] / gram[2 * h - 1, 2 * h - 1]
    for i in range(h):
        beta = delta @ gram[:, h + i] / gram[i, h + i]
        delta[i] += alpha[i] - beta
    return delta


def _iterate(
    space: VectorSpace, state: State, history: int, tag: str
) -> Generator[Evaluate | Iterated, float, Iterated | None]:
    """One iteration: direction, line search, update; None if no step lowers the loss.

    ``tag`` makes the names of the new vectors new.
    """
    gram = np.array(state.gram)
    delta = direction(gram)
    slope = float(delta @ gram[:, -1])
    if not -math.inf < slope < 0:
        return None
    way = f"d{tag}"
    space.combine(way, list(zip(delta.tolist(), state.names, strict=True)))
    found, chosen, n_trials = yield from _search(space, state, way, slope)
    if chosen is None:
        space.drop([way])
        return None
    k = state.iteration
    space.combine(f"s{k}", [(found.step, way)])
    space.combine(f"y{k}", [(1.0, chosen.gradient), (-1.0, state.gradient)])
    new = _updated(space, state, chosen, found.loss, history)
    space.drop([name for name in (way, f"s{k}", f"y{k}") if name not in new.names])
    return Iterated(new, found.step, n_trials)


def _search(
    space: VectorSpace, state: State, way: str, slope: float
) -> Generator[Evaluate | Iterated, float, tuple[Point, Evaluate | None, int]]:
    """Serve a line search along ``way``: what it found, the vectors there, how many trials.

    Of all trials only the lowest is kept, which is the one that a search settles for.
    """
    start = best = Point(0.0, state.loss, slope)
    kept: Evaluate | None = None
    first_step = 1.0 if state.pairs else 1.0 / state.gradient_norm
    search = strong_wolfe(start.loss, start.slope, first_step)
    step, n_trials = next(search), 0
    while True:
        name = f"{way[1:]}.{n_trials}"
        trial, n_trials = Evaluate(f"x{name}", f"g{name}"), n_trials + 1
        space.combine(trial.point, [(1.0, state.point), (step, way)])
        loss = yield trial
        slope = space.dots([(trial.gradient, way)])[0] if math.isfinite(loss) else math.nan
        point = Point(step, loss, slope)
        worse: Evaluate | None = trial
        if low_enough(point, start) and loss < best.loss:
            kept, worse, best = trial, kept, point
        if worse is not None:
            space.drop([worse.point, worse.gradient])
        try:
            step = search.send((loss, slope))
        except StopIteration as end:
            return end.value, kept, n_trials


def _updated(space: VectorSpace, old: State, chosen: Evaluate, loss: float, history: int) -> State:
    """The state at the chosen point: one round of dots against the history."""
    k, remembered = old.iteration, old.names[:-1]
    s, y, g = fresh = (f"s{k}", f"y{k}", chosen.gradient)
    asked = [(a, b) for a in fresh for b in remembered]
    asked += [(a, b) for i, a in enumerate(fresh) for b in fresh[i:]]
    known = dict(zip(asked, space.dots(asked), strict=True))
    for a, row in zip(remembered, old.gram, strict=False):
        known |= {(a, b): value for b, value in zip(remembered, row, strict=False)}

    def dot(a: str, b: str) -> float:
        return known[a, b] if (a, b) in known else known[b, a]

    curved = dot(s, y) > CURVATURE * math.sqrt(dot(s, s) * dot(y, y))
    pairs = (*old.pairs, k) if curved else old.pairs
    new = State(k + 1, loss, chosen.point, g, pairs[max(0, len(pairs) - history) :], ())
    return replace(new, gram=tuple(tuple(dot(a, b) for b in new.names) for a in new.names))
