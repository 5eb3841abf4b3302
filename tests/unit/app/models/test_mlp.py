"""The network against a plain-loop twin, and its initial values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector, views
from distbelief.app.models.initial import initial_values
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.mlp import MLP

#: Value and slope at x, written from the textbook and not from the code.
TEXTBOOK: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "relu": (lambda x: max(x, 0.0), lambda x: 1.0 if x > 0 else 0.0),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "sigmoid": (
        lambda x: 1 / (1 + math.exp(-x)),
        lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2,
    ),
}


def twin(model: MLP, parameters: Vector, x: Vector, label: int) -> tuple[float, list[float]]:
    """Loss and gradient of one example, number by number (Bishop 2006, sec. 5.3)."""
    value, slope = TEXTBOOK[model.activation]
    tensors = [tensor.tolist() for tensor in views(parameters, model.tensors)]
    layers = list(zip(tensors[::2], tensors[1::2], strict=True))
    inputs, sums = [x.tolist()], []
    for weights, bias in layers:
        z = [
            sum(inputs[-1][i] * weights[i][j] for i in range(len(weights))) + bias[j]
            for j in range(len(bias))
        ]
        sums.append(z)
        inputs.append([value(number) for number in z])

    total = sum(math.exp(z) for z in sums[-1])
    delta = [math.exp(z) / total - (k == label) for k, z in enumerate(sums[-1])]
    gradient: list[float] = []
    for layer in reversed(range(len(layers))):
        of_weights = [a * d for a in inputs[layer] for d in delta]
        gradient = of_weights + delta + gradient
        if layer:
            weights = layers[layer][0]
            delta = [
                slope(z) * sum(w * d for w, d in zip(row, delta, strict=True))
                for z, row in zip(sums[layer - 1], weights, strict=True)
            ]
    return math.log(total) - sums[-1][label], gradient


@pytest.mark.parametrize("hidden", [(), (4,), (4, 2), (3, 5, 2)], ids=str)
@pytest.mark.parametrize("activation", TEXTBOOK)
def test_loss_and_gradient_are_the_means_of_a_plain_loop(
    hidden: tuple[int, ...], activation: str
) -> None:
    model = MLP(3, 4, hidden, activation)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=model.initial(rng).size)
    features, labels = rng.normal(size=(6, 3)), rng.integers(0, 4, 6)
    gradient = np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, features, labels, gradient)
    each = [twin(model, parameters, x, y) for x, y in zip(features, labels.tolist(), strict=True)]
    assert loss == pytest.approx(np.mean([loss for loss, _ in each]))
    assert model.loss(parameters, features, labels) == loss
    expected = np.mean([gradient for _, gradient in each], axis=0)
    np.testing.assert_allclose(gradient, expected, atol=1e-14)


def test_probabilities_of_each_example_sum_to_one() -> None:
    model = MLP(3, 4, (5,))
    rng = np.random.default_rng(0)
    probabilities = model.predict(model.initial(rng), rng.normal(size=(6, 3)))
    assert probabilities.shape == (6, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_without_hidden_layers_it_is_softmax_regression() -> None:
    network, softmax = MLP(3, 4, ()), SoftmaxRegression(3, 4)
    rng = np.random.default_rng(0)
    parameters, features = rng.normal(size=16), rng.normal(size=(6, 3))
    labels = rng.integers(0, 4, 6)
    one, other = np.empty(16), np.empty(16)
    loss = network.loss_and_gradient(parameters, features, labels, one)
    assert loss == softmax.loss_and_gradient(parameters, features, labels, other)
    assert np.array_equal(one, other)


def test_tensors_are_named_by_layer() -> None:
    shapes = {tensor.name: tensor.shape for tensor in MLP(3, 4, (5, 6)).tensors}
    assert shapes == {
        "layer0.weights": (3, 5),
        "layer0.bias": (5,),
        "layer1.weights": (5, 6),
        "layer1.bias": (6,),
        "layer2.weights": (6, 4),
        "layer2.bias": (4,),
    }


def first_weights(init: str) -> Vector:
    model = MLP(400, 2, (200,), init=init)
    return views(model.initial(np.random.default_rng(0)), model.tensors)[0]


def test_glorot_weights_are_uniform_within_their_bound() -> None:
    weights, bound = first_weights("glorot"), math.sqrt(6 / (400 + 200))
    assert weights.min() == pytest.approx(-bound, rel=1e-3)
    assert weights.max() == pytest.approx(bound, rel=1e-3)
    assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)


def test_he_weights_are_normal_with_their_variance() -> None:
    weights, deviation = first_weights("he"), math.sqrt(2 / 400)
    assert weights.std() == pytest.approx(deviation, rel=0.01)
    within_one = np.mean(np.abs(weights) < deviation)
    assert within_one == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


@pytest.mark.parametrize("init", ["glorot", "he"])
def test_the_first_weights_of_sparse_data_have_the_same_variance(init: str) -> None:
    model = MLP(400, 2, (200,), init=init, sparse=True)
    first = views(initial_values(model.tensors, model, "mlp", 0), model.tensors)[0]
    assert first.std() == pytest.approx(first_weights(init).std(), rel=0.02)
    assert np.abs(first).max() == pytest.approx(first.std() * math.sqrt(3), rel=0.02)


def test_the_other_layers_of_sparse_data_begin_as_ever() -> None:
    model = MLP(4, 2, (3,), sparse=True)
    rest = MLP(3, 2, ())
    ours = model.initial(np.random.default_rng(0))
    assert ours.tolist() == [0, 0, 0, *rest.initial(np.random.default_rng(0))]


@pytest.mark.parametrize("init", ["glorot", "he"])
def test_biases_begin_at_zero(init: str) -> None:
    model = MLP(3, 4, (5,), init=init)
    tensors = views(model.initial(np.random.default_rng(0)), model.tensors)
    assert not any(bias.any() for bias in tensors[1::2])


def test_a_hidden_layer_needs_units() -> None:
    with pytest.raises(ModelError, match=r"at least 1 unit, got \(5, 0\)"):
        MLP(3, 4, (5, 0))


def test_an_unknown_activation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r'"gelu": use one of relu, tanh, sigmoid'):
        MLP(3, 4, activation="gelu")


def test_an_unknown_init_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r'"zeros": use one of glorot, he'):
        MLP(3, 4, init="zeros")
