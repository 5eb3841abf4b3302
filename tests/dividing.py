"""Row numbers divided at random into those to train on and those held out."""

from __future__ import annotations

from distbelief.app.datasets.split.division import Shares, at_random
from distbelief.app.datasets.split.partition import ShuffledRows


def split(n_examples: int, holdout: float | str, seed: int) -> tuple[ShuffledRows, ShuffledRows]:
    """The rows of the training data and of the held-out ones."""
    assert not isinstance(holdout, str)
    parts = at_random(Shares(n_examples, holdout), seed)
    assert isinstance(parts.train, ShuffledRows)
    assert isinstance(parts.heldout, ShuffledRows)
    return parts.train, parts.heldout
