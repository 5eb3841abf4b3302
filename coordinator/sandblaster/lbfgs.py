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
    DescentState,
    Evaluate,
    Iterated,
    Minimiser,
    Settings,
    VectorSpace,
    descend,
)
from distbelief.coordinator.sandblaster.line_search import Point, low_enough, strong_wolfe

Matrix = npt.NDArray[np.float64]

#: A pair with s.y below this share of ||s|| ||y|| has no usable curvature and is left out.
CURVATURE = 1e-10


def minimise(space: VectorSpace, start: str | DescentState, settings: Settings) -> Minimiser:
    """Minimise a loss that has a gradient everywhere; see
    :func:`distbelief.coordinator.sandblaster.descent.descend`.
    """
    return (yield from descend(space, start, settings, _Smooth(space, settings.history)))


def direction_coefficients(gram: Matrix) -> Matrix:
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


def write_direction(space: VectorSpace, state: DescentState, tag: str) -> tuple[str, float] | None:
    """Write the direction of an iteration; its name, and the slope along it.

    None, and nothing is written, if it does not descend.
    """
    gram = np.array(state.gram)
    delta = direction_coefficients(gram)
    slope = float(delta @ gram[:, -1])
    if not -math.inf < slope < 0:
        return None
    direction = f"d{tag}"
    space.combine(direction, list(zip(delta.tolist(), state.names, strict=True)))
    return direction, slope


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
        return Iterated(DescentState(0, loss, point, "g0", (), ((square,),)), 0.0, 1)

    def iterate(self, state: DescentState, tag: str) -> Attempt:
        space, k, written = self.space, state.iteration, write_direction(self.space, state, tag)
        if written is None:
            return None
        direction, slope = written
        found, chosen, n_trials = yield from _search(space, state, direction, slope)
        if chosen is None:
            space.drop([direction])
            return None
        space.combine(f"s{k}", [(found.step, direction)])
        space.combine(f"y{k}", [(1.0, chosen.gradient), (-1.0, state.gradient)])
        new = next_state(space, state, chosen, found.loss, self.history)
        space.drop([name for name in (direction, f"s{k}", f"y{k}") if name not in new.names])
        return Iterated(new, found.step, n_trials)


def _search(
    space: VectorSpace, state: DescentState, direction: str, slope: float
) -> Generator[Evaluate | Iterated, float, tuple[Point, Evaluate | None, int]]:
    """Serve a line search along ``direction``: its result, the vectors there, how many trials.

    The vectors of all trials but the lowest are dropped: a search settles for that one.
    """
    start = best = Point(0.0, state.loss, slope)
    lowest: Evaluate | None = None
    first_step = 1.0 if state.pairs else 1.0 / state.gradient_norm
    search = strong_wolfe(start.loss, start.slope, first_step)
    step, n_trials = next(search), 0
    while True:
        name = f"{direction[1:]}.{n_trials}"
        trial, n_trials = Evaluate(f"x{name}", f"g{name}"), n_trials + 1
        space.combine(trial.point, [(1.0, state.point), (step, direction)])
        loss = yield trial
        slope = space.dots([(trial.gradient, direction)])[0] if math.isfinite(loss) else math.nan
        point = Point(step, loss, slope)
        worse: Evaluate | None = trial
        if low_enough(point, start) and loss < best.loss:
            lowest, worse, best = trial, lowest, point
        if worse is not None:
            space.drop([worse.point, worse.gradient])
        try:
            step = search.send((loss, slope))
        except StopIteration as end:
            return end.value, lowest, n_trials


def next_state(
    space: VectorSpace, old: DescentState, chosen: Evaluate, loss: float, history: int
) -> DescentState:
    """Compute the state at the chosen point, by one round of dots against the history.

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
    new = DescentState(k + 1, loss, chosen.point, g, pairs[max(0, len(pairs) - history) :], ())
    return replace(new, gram=tuple(tuple(dot(a, b) for b in new.names) for a in new.names))
