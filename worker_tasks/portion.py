"""One portion's share of the batch's loss and gradient: pure, in bounded memory.

The objective is the mean loss over all N training examples plus the L2 term; portion 0 carries the
L2 term, so that it counts once, covers no bias, and costs the servers nothing. An L1 term, which
has no gradient, is the minimiser's (:mod:`distbelief.coordinator.sandblaster.owlqn`).

Sums over portions do not depend on the order in which these arrive. Every portion rounds
its numbers to multiples of one quantum, a power of two, so large that no sum of them needs
more bits than the dtype has: each addition is then exact, and exact additions may be made
in any order (the idea of reproducible summation by pre-rounding, Demmel & Nguyen 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import Rows
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Model, weighed

#: Examples whose activations are in memory at a time.
CHUNK_EXAMPLES = 512

#: A sum may grow this much beyond the largest seen before the quantum has to change.
HEADROOM = 4.0


@dataclass(frozen=True)
class Share:
    """A portion's share of the loss, and of the gradient of shape (D,).

    ``largest`` is the largest absolute value in the gradient, infinite or NaN if the
    gradient is not finite.
    """

    loss: float
    gradient: Vector
    largest: float

    @property
    def is_finite(self) -> bool:
        """Whether there is a loss, and a gradient to be added."""
        return math.isfinite(self.loss) and math.isfinite(self.largest)


@silently
def compute(
    model: Model,
    dataset: Dataset,
    blocks: Iterable[Rows],
    parameters: Vector,
    *,
    n_examples: int,
    penalty: Vector | None,
    before_chunk: Callable[[], None] = lambda: None,
) -> Share:
    """The share of the rows in ``blocks``, if any, in the mean over ``n_examples``.

    ``penalty`` is the L2 factor of each parameter, for the portion that carries the term.
    ``before_chunk`` is called before each chunk and may raise to stop.
    """
    total, loss = np.zeros_like(parameters), 0.0
    scratch = np.empty_like(parameters)
    for chunk in _chunks(blocks):
        before_chunk()
        features, targets = dataset.features[chunk], dataset.targets[chunk]
        weight = len(targets) / n_examples
        keyword = weighed(None if dataset.weights is None else dataset.weights[chunk])
        loss += weight * model.loss_and_gradient(parameters, features, targets, scratch, **keyword)
        scratch *= weight
        total += scratch
    if penalty is not None:
        total += penalty * parameters
        loss += 0.5 * float(np.sum(penalty * np.square(parameters), dtype=np.float64))
    return Share(float(loss), total, float(np.max(np.abs(total))))


def _chunks(blocks: Iterable[Rows]) -> Iterator[Rows | slice]:
    """Rows to read at a time: neighbours as a slice, which a memory map gives without a copy."""
    for rows in blocks:
        for start in range(0, len(rows), CHUNK_EXAMPLES):
            chunk = rows[start : start + CHUNK_EXAMPLES]
            first, stop = int(chunk[0]), int(chunk[-1]) + 1
            yield slice(first, stop) if stop - first == len(chunk) else chunk


def quantum(largest_sum: float, dtype: np.dtype[np.floating]) -> float:
    """The finest power of two with which sums up to ``largest_sum`` are exact.

    0 if there is nothing to go by yet: then nothing is rounded, and sums are not exact.
    """
    largest = HEADROOM * largest_sum
    if not 0 < largest < math.inf:
        return 0.0
    kind = np.finfo(dtype)
    return max(math.ldexp(1.0, math.frexp(largest)[1] - kind.nmant), float(kind.smallest_subnormal))


def is_exact(largest_sum: float, step: float, dtype: np.dtype[np.floating]) -> bool:
    """Whether sums up to ``largest_sum`` of multiples of ``step`` were exact."""
    return largest_sum <= step * 2.0 ** np.finfo(dtype).nmant


def rounded(gradient: Vector, step: float) -> Vector:
    """The gradient in multiples of ``step``, a power of two (0: as it is)."""
    return gradient if step == 0 else np.round(gradient / step) * step
