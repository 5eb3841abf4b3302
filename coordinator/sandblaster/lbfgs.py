"""Vector-free L-BFGS: the coordinator holds a small matrix and never a vector.

Notation: s[i] = x[i+1] - x[i], y[i] = g[i+1] - g[i], g the gradient. The basis is
s[k-h], ..., s[k-1], y[k-h], ..., y[k-1], g[k]; its Gram matrix B (2h+1 on a side) is all
that the two-loop recursion (Nocedal & Wright 2006, Alg. 7.4) needs to give the direction
as coefficients over the basis (Chen, Wang and Zhou, NIPS 2014). So an iteration asks the
vector space for one round of dot products and one linear combination, whatever h is.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from distbelief.coordinator.sandblaster.descent import (
    Attempt,
    Evaluate,
    Iterated,
    Minimiser,
    Settings,
    State,
    VectorSpace,
    descend,
)
from distbelief.coordinator.sandblaster.line_search import Point, low_enough, strong_wolfe

Matrix = npt.NDArray[np.float64]

#: A pair with s.y below this share of ||s|| ||y|| has no usable curvature and is left out.
CURVATURE = 1e-10


def minimise(space: VectorSpace, start: str | State, settings: Settings) -> Minimiser:
    """Minimise a loss that has a gradient everywhere; see
    :func:`distbelief.coordinator.sandblaster.descent.descend`.
    """
    return (yield from descend(space, start, settings, _Smooth(space, settings.history)))


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


def head_for(space: VectorSpace, state: State, tag: str) -> tuple[str, float] | None:
    """Write the direction; its name and the slope along it. None if it does not descend."""
    gram = np.array(state.gram)
    delta = direction(gram)
    slope = float(delta @ gram[:, -1])
    if not -math.inf < slope < 0:
        return None
    way = f"d{tag}"
    space.combine(way, list(zip(delta.tolist(), state.names, strict=True)))
    return way, slope


@dataclass(frozen=True)
class _Smooth:
    """The :class:`Method` for a loss that has a gradient everywhere."""

    space: VectorSpace
    history: int

    def begin(self, point: str) -> Attempt:
        loss = yield Evaluate(point, "g0")
        square = self.space.dots([("g0", "g0")])[0] if math.isfinite(loss) else math.nan
        if not math.isfinite(square):
            return None
        return Iterated(State(0, loss, point, "g0", (), ((square,),)), 0.0, 1)

    def iterate(self, state: State, tag: str) -> Attempt:
        space, k, headed = self.space, state.iteration, head_for(self.space, state, tag)
        if headed is None:
            return None
        way, slope = headed
        found, chosen, n_trials = yield from _search(space, state, way, slope)
        if chosen is None:
            space.drop([way])
            return None
        space.combine(f"s{k}", [(found.step, way)])
        space.combine(f"y{k}", [(1.0, chosen.gradient), (-1.0, state.gradient)])
        new = updated(space, state, chosen, found.loss, self.history)
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


def updated(space: VectorSpace, old: State, chosen: Evaluate, loss: float, history: int) -> State:
    """The state at the chosen point: one round of dots against the history.

    The new pair is s and y of the old iteration's number.
    """
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
