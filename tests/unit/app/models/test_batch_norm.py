"""Statistics are averages over minibatches of training examples."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.tensors import Vector
from distbelief.app.models import batch_norm
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.linear import LinearRegression
from distbelief.app.models.model import Model
from distbelief.app.models.parameters import Cut


class Mean:
    """Its only statistics are the means of its two features, times its first parameter."""

    n_statistics = 2

    def statistics(self, parameters: Vector, features: Any) -> Vector:
        mean: Vector = parameters[0] * features.mean(axis=0)
        return mean


MEAN = cast("Model", Mean())
FEATURES = np.random.default_rng(0).normal(size=(20, 2)).astype("f4")
DATASET = Dataset(FEATURES, np.zeros(20, "f4"), Schema(2), "it", "0")
DENSE = np.array([5, 7, 0, 1], "f4")


def cut(features: Any) -> Cut:
    """As with tables: the model's parameters are others than the dense ones."""
    return MEAN, np.array([2.0]), features


def test_the_last_numbers_are_replaced_by_averages_over_full_minibatches() -> None:
    train = np.random.default_rng(1).permutation(20)[:17]
    found = recompute_statistics(MEAN, DENSE, cut, DATASET, train, 5)
    assert found.dtype == np.float32
    assert found[:2].tolist() == [5, 7]
    np.testing.assert_allclose(found[2:], 2 * FEATURES[train[:15]].mean(axis=0), rtol=1e-5)
    assert DENSE.tolist() == [5, 7, 0, 1]


def test_fewer_examples_than_a_minibatch_are_one() -> None:
    found = recompute_statistics(MEAN, DENSE, cut, DATASET, np.arange(3), 5)
    np.testing.assert_allclose(found[2:], 2 * FEATURES[:3].mean(axis=0), rtol=1e-5)


def test_only_so_many_minibatches_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm, "MINIBATCHES", 2)
    found = recompute_statistics(MEAN, DENSE, cut, DATASET, np.arange(20), 4)
    np.testing.assert_allclose(found[2:], 2 * FEATURES[:8].mean(axis=0), rtol=1e-5)


def test_a_model_without_statistics_keeps_its_parameters() -> None:
    assert recompute_statistics(LinearRegression(3), DENSE, cut, DATASET, np.arange(20), 4) is DENSE
