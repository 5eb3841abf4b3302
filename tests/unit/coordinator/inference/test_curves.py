"""The curves of a model are those of scikit-learn, whatever its targets and weights are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.run_data import Selection
from distbelief.coordinator.inference import curves
from distbelief.coordinator.report.curves import understood
from tests.unit.coordinator.inference.test_scoring import OPTIONS, saved

RNG = np.random.default_rng(7)
CHANCES = RNG.random(300).round(2)  # of many examples the same
RIGHT = RNG.random(300) < CHANCES
WEIGHTS = RNG.integers(1, 4, 300).astype(np.float64)


def examples(kind: str) -> Selection:
    return Selection(open_cached(f"synthetic:{kind}", OPTIONS, default_cache_folder()))


def test_the_curve_and_its_area_are_those_of_scikit_learn() -> None:
    found: Any = curves.roc(CHANCES, RIGHT, WEIGHTS)
    low, high, _ = roc_curve(RIGHT, CHANCES, sample_weight=WEIGHTS, drop_intermediate=False)
    np.testing.assert_allclose(found["false_positive_rate"], low, atol=1e-5)
    np.testing.assert_allclose(found["true_positive_rate"], high, atol=1e-5)
    assert found["auc"] == pytest.approx(roc_auc_score(RIGHT, CHANCES, sample_weight=WEIGHTS))
    assert curves.roc(CHANCES, np.ones(300, bool), WEIGHTS) is None


def test_a_long_curve_keeps_both_ends_and_its_area() -> None:
    chances = RNG.random(4000)
    right = RNG.random(4000) < chances
    found: Any = curves.roc(chances, right, np.ones(4000))
    low, high = (found[f"{kind}_positive_rate"] for kind in ("false", "true"))
    assert len(low) == len(high) <= curves.MOST_POINTS
    assert (low[0], high[0], low[-1], high[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(high, low) == pytest.approx(found["auc"], abs=2e-3)


def test_calibration_is_that_of_scikit_learn() -> None:
    inside = CHANCES + 0.001  # no probability is on an edge
    found = curves.calibration(inside, RIGHT, np.ones(300))
    observed, predicted = calibration_curve(RIGHT, np.minimum(inside, 1), n_bins=curves.BINS)
    np.testing.assert_allclose([each["observed"] for each in found], observed, atol=1e-5)
    np.testing.assert_allclose([each["predicted"] for each in found], predicted, atol=1e-2)
    assert sum(each["examples"] for each in found) == 300


@pytest.mark.parametrize("kind", ["linear", "logistic", "softmax"])
def test_a_model_has_the_curves_of_its_kind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_EXAMPLES", 150)
    document = curves.curves(saved(kind), examples(kind))
    assert (document["examples"], document["of"]) == (150, 200)
    found = understood(document)
    assert found is not None
    assert bool(found.pairs) == (kind == "linear")
    assert bool(found.roc) == bool(found.calibration) == (kind != "linear")
    if kind == "softmax":
        assert found.roc[0].name == curves.POOLED
        areas = [each.auc for each in found.roc[1:]]
        assert areas == sorted(areas)


def test_a_model_that_answers_nothing_has_no_curves() -> None:
    model = saved("logistic")
    lost = replace(model, parameters=np.full_like(model.parameters, np.nan))
    assert curves.curves(lost, examples("logistic")) == {"examples": 200, "of": 200}


@pytest.mark.parametrize("odd", [None, [], {"examples": "x", "of": 1}, {"roc": 1}])
def test_an_odd_document_has_no_curves(odd: object) -> None:
    assert understood(odd) is None
