"""Line search for the strong Wolfe conditions, by reverse communication.

A generator: ``loss, slope = yield step``. It cannot know whether an evaluation is a call
of a function or two hundred Celery tasks. Notation: phi(t) = f(x + t d), its slope is
phi'(t); the search wants

    phi(t) <= phi(0) + C1 t phi'(0)   and   |phi'(t)| <= C2 |phi'(0)|

after Nocedal & Wright 2006, Alg. 3.5 (bracketing) and 3.6 (zoom), with cubic
interpolation (eq. 3.59) kept away from the ends of its bracket.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

C1, C2 = 1e-4, 0.9
MAX_EVALUATIONS = 20

#: Growth of the step while bracketing, as multiples of the last stretch.
LEAST_GROWTH, MOST_GROWTH = 1.1, 4.0

#: A zoom stays this share of its bracket away from both ends.
MARGIN = 0.1

#: A bracket narrower than this, relative to its far end, cannot be told apart any more.
NARROWEST = 1e-12


@dataclass(frozen=True)
class Point:
    """A step with phi and phi' there. A loss that is not finite means: too far."""

    step: float
    loss: float
    slope: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.slope)


#: Yields steps, receives (loss, slope), returns the point it settled for.
Search = Generator[float, tuple[float, float], Point]


def strong_wolfe(loss: float, slope: float, first_step: float) -> Search:
    """Search along a descent direction from phi(0) = ``loss``, phi'(0) = ``slope`` < 0.

    Returns after at most ``MAX_EVALUATIONS`` steps. The point returned satisfies both
    conditions, or, where none such was found, the first one. Of all points tried that
    satisfy the first one it is the lowest, and it is lower than the start; where there is
    none such, it is the start, with step 0.
    """
    start = Point(0.0, loss, slope)
    last, step = start, first_step
    for used in range(1, MAX_EVALUATIONS + 1):
        point = Point(step, *(yield step))
        if not low_enough(point, start) or point.loss >= last.loss:
            return (yield from _zoom(start, last, point, MAX_EVALUATIONS - used))
        if _flat_enough(point, start):
            return point
        if point.slope >= 0:
            return (yield from _zoom(start, point, last, MAX_EVALUATIONS - used))
        stretch = point.step - last.step
        step = _cubic_minimum(
            last, point, point.step + LEAST_GROWTH * stretch, point.step + MOST_GROWTH * stretch
        )
        last = point
    return last


def _zoom(start: Point, low: Point, high: Point, evaluations: int) -> Search:
    """Narrow the bracket: ``low`` is the better end and satisfies the first condition."""
    for _ in range(evaluations):
        left, right = sorted((low.step, high.step))
        if right - left <= NARROWEST * right:
            break
        margin = MARGIN * (right - left)
        step = _cubic_minimum(low, high, left + margin, right - margin)
        point = Point(step, *(yield step))
        if not low_enough(point, start) or point.loss >= low.loss:
            high = point
            continue
        if _flat_enough(point, start):
            return point
        if point.slope * (high.step - low.step) >= 0:
            high = low
        low = point
    return low


def low_enough(point: Point, start: Point) -> bool:
    """The first Wolfe condition (sufficient decrease)."""
    return point.finite and point.loss <= start.loss + C1 * point.step * start.slope


def _flat_enough(point: Point, start: Point) -> bool:
    """The second, strong one (curvature)."""
    return abs(point.slope) <= C2 * abs(start.slope)


def _cubic_minimum(a: Point, b: Point, left: float, right: float) -> float:
    """Minimiser of the cubic through two points and their slopes, kept in [left, right].

    The middle where there is none: no minimum, or an end that is not finite.
    """
    middle = 0.5 * (left + right)
    if not (a.finite and b.finite):
        return middle
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    inside = d1 * d1 - a.slope * b.slope
    if not inside >= 0:
        return middle
    d2 = math.copysign(math.sqrt(inside), b.step - a.step)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return middle
    step = b.step - (b.step - a.step) * (b.slope + d2 - d1) / divisor
    return min(max(step, left), right) if math.isfinite(step) else middle
