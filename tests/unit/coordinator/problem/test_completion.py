"""Settings whose default depends on the data."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.completion import passes_of


@pytest.mark.parametrize(
    ("settings", "n_train", "passes"),
    [
        ({}, 320, 40),  # 10 minibatches, 40 times
        ({}, 100_000, 40),
        ({}, 112, 115),  # as iris, of which a quarter is held out: 3.5 minibatches
        ({}, 1, 200),  # two replicas make a minibatch each
        ({"replicas": 1}, 1, 400),
        ({"batch_size": 1}, 112, 40),
        ({"passes": 3}, 112, 3),
        ({"algorithm": "sandblaster"}, 112, 40),
    ],
)
def test_few_examples_have_more_passes(
    settings: dict[str, Any], n_train: float, passes: int
) -> None:
    assert passes_of(RunConfig(**settings), n_train) == passes
