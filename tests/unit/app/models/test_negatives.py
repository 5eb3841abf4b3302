"""Of a model that saw but some of the negatives the saved one answers as if all had been there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.models.files import SavedModel
from distbelief.app.models.scaling import Scaling
from distbelief.app.settings.sections import ModelSettings

KINDS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "softmax": {},
    "mlp": {"hidden": (3,)},
    "fm": {"rank": 2},
}


@pytest.mark.parametrize("scaling", [None, Scaling((1.0, 2.0, 3.0), (0.5, 1.0, 2.0))])
@pytest.mark.parametrize("kind", KINDS)
def test_the_odds_are_times_the_rate_and_a_training_goes_on_from_what_it_was(
    kind: str, scaling: Scaling | None
) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    odds = []
    for rate in (1.0, 0.1):
        settings = ModelSettings(model=kind, negative_rate=rate, **KINDS[kind])
        empty = SavedModel(settings, Schema(3, 2), np.empty(0), {}, {})
        size = sum(tensor.size for tensor in empty.build().tensors)
        trained = np.random.default_rng(1).normal(0, 0.3, size)
        saved = SavedModel(settings, Schema(3, 2), trained, {}, {}).folded(scaling)
        answers = saved.build().predict(saved.parameters.astype(np.float64), x)
        positive = answers if answers.ndim == 1 else answers[:, 1]
        odds.append(positive / (1 - positive))
        assert saved.unfolded().parameters == pytest.approx(trained)
    assert odds[1] == pytest.approx(0.1 * odds[0])
