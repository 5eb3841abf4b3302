"""Torch modules on a GPU: what they answer is what they answer on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.app.models.torchcases import (
    CASES,
    allow,
    built,
    cut,
    evaluate,
    every_case,
    examples,
    parameters_for,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def _nets(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch)


def on_cpu(case: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same model where no GPU is to be seen; it settles on a device when first used."""
    model = built(case)
    with monkeypatch.context() as blind:
        blind.setattr(torch.cuda, "is_available", lambda: False)
        model.predict(model.initial(np.random.default_rng(0)), examples(CASES[case])[0])
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("f4", 1e-5), ("f8", 1e-12)])
@every_case
def test_a_gpu_gives_the_gradient_and_predictions_of_the_cpu(
    case: str, dtype: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case == "dropping":
        pytest.skip("a GPU draws other random numbers")
    model, twin, batch = built(case), on_cpu(case, monkeypatch), examples(CASES[case])
    parameters = parameters_for(model).astype(dtype)
    torch.cuda.reset_peak_memory_stats()
    loss, gradient = evaluate(model, parameters, batch)
    assert torch.cuda.max_memory_allocated() > 0  # it was there that it was computed
    expected_loss, expected = evaluate(twin, parameters, batch)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    found = model.predict(parameters, batch[0])
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, twin.predict(parameters, batch[0]), rtol=tolerance, atol=tolerance
    )


@every_case
def test_a_narrowed_model_answers_as_the_whole_one(case: str) -> None:
    model, batch = built(case), examples(CASES[case])
    parameters = parameters_for(model)
    loss, gradient = evaluate(model, parameters, batch)
    narrowed = model.narrowed(batch[0])
    ours = cut(model.tensors, parameters, narrowed.rows)
    found_loss, found = evaluate(narrowed.model, ours, batch)
    assert found_loss == pytest.approx(loss)
    expected = cut(model.tensors, gradient, narrowed.rows)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_same_minibatch_drops_the_same_units() -> None:
    batch = examples(CASES["dropping"])
    parameters = parameters_for(built("dropping"))
    first, again = (evaluate(built("dropping"), parameters, batch) for _ in range(2))
    assert first[0] == again[0]
    assert first[1].tobytes() == again[1].tobytes()


def test_statistics_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model, twin = built("normed"), on_cpu("normed", monkeypatch)
    features, _ = examples(CASES["normed"])
    parameters = parameters_for(model)
    np.testing.assert_allclose(
        model.statistics(parameters, features), twin.statistics(parameters, features), rtol=1e-12
    )


def test_a_model_goes_from_one_precision_to_the_other() -> None:
    model, batch = built("Ids"), examples(CASES["Ids"])
    parameters = parameters_for(model)
    single, _ = evaluate(model, parameters.astype("f4"), batch)
    double, _ = evaluate(model, parameters, batch)
    assert single == pytest.approx(double, rel=1e-5)
    assert evaluate(model, parameters.astype("f4"), batch)[0] == single
