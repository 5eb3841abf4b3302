"""Adagrad in NumPy, as fast as whole-array operations get: six of them, no new arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]


def adagrad(
    values: Numbers, squares: Numbers, gradient: Numbers, spare: Numbers, rate: float,
    epsilon: float,
) -> None:  # fmt: skip
    """``values`` and ``squares`` change in place; ``spare`` is overwritten."""
    np.multiply(gradient, gradient, out=spare)
    squares += spare
    np.sqrt(squares, out=spare)
    spare += epsilon
    np.divide(gradient, spare, out=spare)
    spare *= rate
    values -= spare
