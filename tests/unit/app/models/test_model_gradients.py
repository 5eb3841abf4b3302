"""What every model promises about its loss, gradient and memory."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.models.layers import ACTIVATIONS
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Model, Task

Array = npt.NDArray[Any]

N_FEATURES, N_CLASSES = 5, 3
ONE_LAYER: list[Model] = [
    LinearRegression(N_FEATURES),
    LogisticRegression(N_FEATURES),
    SoftmaxRegression(N_FEATURES, N_CLASSES),
]
DEPTHS: list[tuple[int, ...]] = [(), (4,), (4, 6), (4, 6, 3)]
NETWORKS: list[Model] = [
    MLP(N_FEATURES, N_CLASSES, hidden, activation)
    for hidden, activation in itertools.product(DEPTHS, ACTIVATIONS)
]
every_model = pytest.mark.parametrize("model", ONE_LAYER + NETWORKS, ids=repr)


def examples(model: Model, n: int = 7) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n, N_FEATURES))
    if model.task is Task.REGRESSION:
        return features, rng.normal(size=n)
    return features, rng.integers(0, 2 if model.task is Task.BINARY else N_CLASSES, n)


def random_parameters(model: Model) -> Array:
    """No zeros: neither gradients that vanish by symmetry nor the kink of ReLU."""
    rng = np.random.default_rng(2)
    return rng.normal(size=model.initial(rng).size)


def evaluate(model: Model, parameters: Array, examples: tuple[Array, Array]) -> tuple[float, Array]:
    gradient = np.full_like(parameters, np.nan)
    return model.loss_and_gradient(parameters, *examples, gradient), gradient


@every_model
def test_the_gradient_is_that_of_central_differences(model: Model) -> None:
    batch = examples(model)
    parameters, step = random_parameters(model), 1e-6
    _, gradient = evaluate(model, parameters, batch)
    for i, expected in enumerate(gradient):
        move = step * np.eye(parameters.size)[i]
        above, _ = evaluate(model, parameters + move, batch)
        below, _ = evaluate(model, parameters - move, batch)
        assert (above - below) / (2 * step) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@every_model
def test_the_gradient_buffer_is_overwritten_and_not_added_to(model: Model) -> None:
    batch = examples(model)
    parameters = random_parameters(model)
    _, from_nan = evaluate(model, parameters, batch)
    gradient = np.full_like(parameters, 1e9)
    model.loss_and_gradient(parameters, *batch, gradient)
    assert np.array_equal(gradient, from_nan)


@every_model
def test_parameters_and_examples_may_be_read_only(model: Model) -> None:
    features, targets = examples(model)
    parameters = random_parameters(model)
    for array in (features, targets, parameters):
        array.flags.writeable = False
    evaluate(model, parameters, (features, targets))
    model.predict(parameters, features)


@every_model
def test_parameters_and_examples_are_left_as_they_were(model: Model) -> None:
    features, targets = examples(model)
    parameters = random_parameters(model)
    before = [array.copy() for array in (features, targets, parameters)]
    evaluate(model, parameters, (features, targets))
    model.predict(parameters, features)
    for array, copy in zip((features, targets, parameters), before, strict=True):
        assert np.array_equal(array, copy)


@every_model
def test_float32_parameters_give_float32_results(model: Model) -> None:
    batch = examples(model)
    parameters = random_parameters(model).astype(np.float32)
    loss, gradient = evaluate(model, parameters, batch)
    exact_loss, exact = evaluate(model, parameters.astype(float), batch)
    assert model.predict(parameters, batch[0]).dtype == np.float32
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, exact, rtol=1e-3, atol=1e-5)


@every_model
def test_the_loss_is_a_python_float(model: Model) -> None:
    loss, _ = evaluate(model, random_parameters(model).astype(np.float32), examples(model))
    assert type(loss) is float


@every_model
def test_the_type_of_the_features_does_not_matter(model: Model) -> None:
    features, targets = examples(model)
    features = np.abs(10 * features).astype(np.uint8)
    parameters = random_parameters(model)
    loss, gradient = evaluate(model, parameters, (features, targets))
    expected_loss, expected = evaluate(model, parameters, (features.astype(float), targets))
    assert loss == expected_loss
    assert np.array_equal(gradient, expected)


@pytest.mark.parametrize("model", [*ONE_LAYER[1:], NETWORKS[-1]], ids=repr)
def test_labels_may_be_unsigned_integers(model: Model) -> None:
    features, labels = examples(model)
    parameters = random_parameters(model)
    expected_loss, expected = evaluate(model, parameters, (features, labels))
    loss, gradient = evaluate(model, parameters, (features, labels.astype(np.uint8)))
    assert loss == expected_loss
    assert np.array_equal(gradient, expected)


@every_model
@given(cut=st.integers(1, 6))
def test_a_minibatch_is_the_weighted_mean_of_its_parts(model: Model, cut: int) -> None:
    features, targets = examples(model, n=7)
    parameters = random_parameters(model)
    loss, gradient = evaluate(model, parameters, (features, targets))
    first = evaluate(model, parameters, (features[:cut], targets[:cut]))
    second = evaluate(model, parameters, (features[cut:], targets[cut:]))
    assert 7 * loss == pytest.approx(cut * first[0] + (7 - cut) * second[0])
    joined = cut * first[1] + (7 - cut) * second[1]
    np.testing.assert_allclose(7 * gradient, joined, atol=1e-12)


@every_model
def test_initial_parameters_are_a_function_of_the_seed(model: Model) -> None:
    first, again = (model.initial(np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.float64
    assert first.shape == (sum(tensor.size for tensor in model.tensors),)
    assert np.array_equal(first, again)


@every_model
def test_only_biases_are_free_of_the_penalty(model: Model) -> None:
    assert all(tensor.penalised != tensor.name.endswith("bias") for tensor in model.tensors)


@every_model
def test_a_diverged_model_answers_without_a_warning(model: Model) -> None:
    features, targets = examples(model)
    parameters = np.full(model.initial(np.random.default_rng(0)).shape, 1e308)
    evaluate(model, parameters, (1e10 * features, targets))
    model.predict(parameters, 1e10 * features)


@pytest.mark.parametrize("model", [*ONE_LAYER, NETWORKS[0]], ids=repr)
def test_a_diverged_model_shows_in_its_loss(model: Model) -> None:
    features, targets = examples(model)
    parameters = np.full(model.initial(np.random.default_rng(0)).shape, 1e308)
    loss, _ = evaluate(model, parameters, (1e10 * features, targets))
    assert not np.isfinite(loss)


@pytest.mark.parametrize(
    "model",
    [LinearRegression(200_000), SoftmaxRegression(20_000, 10), MLP(1_000, 10, (200, 50))],
    ids=repr,
)
def test_nothing_as_large_as_the_parameters_is_allocated(model: Model) -> None:
    n_features = model.tensors[0].shape[0]
    batch = np.ones((2, n_features), np.float32), np.array([0, 1])
    parameters = model.initial(np.random.default_rng(0)).astype(np.float32)
    gradient = np.empty_like(parameters)
    tracemalloc.start()
    model.loss_and_gradient(parameters, *batch, gradient)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < parameters.nbytes / 10
