"""From the probabilities that a model predicts to classes.

Probabilities are as :meth:`distbelief.app.models.model.Model.predict` gives them: those of
class 1, shape (n,), or those of all classes, shape (n, n_classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Examples that are predicted together: bounded memory, whatever the size of the data.
CHUNK_EXAMPLES = 4096


def likeliest(probabilities: npt.NDArray[Any], threshold: float) -> npt.NDArray[np.intp]:
    """Choose a class for each example, shape (n,): the one with the highest probability.

    Of two classes it is class 1 where its probability is above ``threshold``.
    """
    if probabilities.ndim == 1:
        return (probabilities > threshold).astype(np.intp)
    if probabilities.shape[1] == 2:  # at one half just the higher one, however they are rounded
        ours, theirs = probabilities[:, 1], probabilities[:, 0]
        return (ours * (1 - threshold) > theirs * threshold).astype(np.intp)
    classes: npt.NDArray[np.intp] = np.argmax(probabilities, axis=1)
    return classes


def of_positive(probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The probability of class 1 of two, shape (n,)."""
    return probabilities if probabilities.ndim == 1 else probabilities[:, 1]


def probability_of(
    classes: npt.NDArray[np.integer], probabilities: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """The probability that each example is of its class in ``classes``, shape (n,)."""
    if probabilities.ndim == 1:
        return np.where(classes == 1, probabilities, 1 - probabilities)
    chosen: npt.NDArray[Any] = probabilities[np.arange(len(classes)), classes]
    return chosen
