"""What cannot be trained on weighted, or picked, examples is refused before anything starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.models.linear import LogisticRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.weights import check_negatives, check_weights

DATA = Dataset(np.zeros((2, 3), np.float32), np.array([0, 1]), Schema(3, 2), "data", "")
WEIGHTED = replace(DATA, weights=np.ones(2, np.float32))


class Own:
    def loss_and_gradient(self, parameters: Any, x: Any, y: Any, gradient: Any) -> float:
        return 0.0


def test_a_model_that_takes_no_weights_is_refused_with_what_to_do() -> None:
    config = RunConfig(model="mine:Own")
    check_weights(config, cast("Any", Own()), DATA)
    check_weights(config, LogisticRegression(3), WEIGHTED)
    with pytest.raises(ModelError, match="of mine:Own takes none: give it a keyword weights=None"):
        check_weights(config, cast("Any", Own()), WEIGHTED)


def test_a_rate_of_negatives_is_for_our_models_of_two_classes() -> None:
    config = RunConfig(model="mine:Own", negative_rate=0.1)
    check_negatives(config, LogisticRegression(3), DATA)
    with pytest.raises(ConfigError, match="is for our own models, not for mine:Own"):
        check_negatives(config, cast("Any", Own()), DATA)
    three = replace(DATA, schema=Schema(3, 3))
    with pytest.raises(ConfigError, match="is for two classes, digits has 3"):
        check_negatives(config, MLP(3, 3), three)
