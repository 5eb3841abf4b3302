"""Clicks: labels that follow their chances, pairs that a linear model cannot know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.sources.clicks import clicks
from distbelief.app.errors import DataError


def test_every_example_has_one_value_in_each_field() -> None:
    drawn = clicks(500, features=1000, fields=7)
    columns = np.asarray(drawn.features.indices).reshape(500, 7)
    assert drawn.features.shape == (500, 994)
    assert np.array_equal(columns // 142, np.tile(np.arange(7), (500, 1)))


def test_labels_follow_their_chances() -> None:
    drawn = clicks(20_000)
    order = np.argsort(drawn.chances)
    for part in np.split(order, 10):
        assert drawn.targets[part].mean() == pytest.approx(drawn.chances[part].mean(), abs=0.03)


def test_more_examples_begin_with_those_of_fewer() -> None:
    few, many = clicks(100, seed=3), clicks(300, seed=3)
    assert np.array_equal(few.features[:].indices, many.features[:100].indices)
    assert np.array_equal(few.targets, many.targets[:100])


@pytest.mark.parametrize(("rank", "share"), [(0, 0.6), (4, 0.35)])
def test_a_linear_model_knows_the_truth_without_pairs_alone(rank: int, share: float) -> None:
    """How much of what can be known about held-out labels logistic regression finds."""
    drawn = clicks(12_000, features=4000, fields=4, rank=rank)
    model = LogisticRegression(C=0.3, max_iter=200).fit(
        drawn.features[:10_000], drawn.targets[:10_000]
    )
    labels, chances = drawn.targets[10_000:], drawn.chances[10_000:]
    found = log_loss(labels, model.predict_proba(drawn.features[10_000:]))
    nothing, best = np.log(2), log_loss(labels, chances)
    known = (nothing - found) / (nothing - best)
    assert known > share if rank == 0 else known < 0.6


def test_a_cached_problem_is_that_which_was_drawn(tmp_path: Path) -> None:
    options = {"examples": 50, "features": 640, "fields": 8, "seed": 2}
    cached = open_cached("synthetic:clicks", options, tmp_path)
    drawn = clicks(**options)
    assert (cached.schema.sparse, cached.schema.n_fields, cached.schema.buckets) == (True, 8, 80)
    assert np.array_equal(cached.features[:].toarray(), drawn.features[:].toarray())
    assert np.array_equal(cached.targets, drawn.targets)


def test_too_few_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 features are less than one for each of 20 fields"):
        open_cached("synthetic:clicks", {"features": 3}, tmp_path)
