"""The wide-and-deep network against a twin that looks categories up one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import views
from distbelief.app.models.initial import initial_values
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Task
from distbelief.app.models.wide_deep import WideDeep

Array = npt.NDArray[Any]

N_DENSE, FIELDS, BUCKETS = 2, 3, 4
SCHEMA = Schema(14, 2, sparse=True, n_dense=N_DENSE, n_fields=FIELDS)


def examples(n: int) -> tuple[Array, Array]:
    """Numbers (n, 2) and categories (n, 3), each from 0 to 3."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, N_DENSE)), rng.integers(0, BUCKETS, (n, FIELDS))


def as_features(numbers: Array, categories: Array) -> csr_array:
    hot = np.eye(BUCKETS)[categories].reshape(len(numbers), FIELDS * BUCKETS)
    return csr_array(np.hstack([numbers, hot]))


def random_parameters(model: WideDeep) -> Array:
    size = sum(tensor.size for tensor in model.tensors)
    return np.random.default_rng(1).normal(size=size)


def twin_outputs(model: WideDeep, parameters: Array, numbers: Array, categories: Array) -> Array:
    """Of one example after another, by looking up rows (Cheng et al. 2016, eq. 3)."""
    parts = zip(model.tensors, views(parameters, model.tensors), strict=True)
    tensors = {tensor.name: values for tensor, values in parts}
    outputs = []
    for x, chosen in zip(numbers, categories, strict=True):
        rows = [tensors["fields"][f * BUCKETS + c] for f, c in enumerate(chosen)]
        wide = x @ tensors["wide.weights"] + sum(row[: model.n_outputs] for row in rows)
        values = np.concatenate([x, *(row[model.n_outputs :] for row in rows)])
        for layer in range(len(model.hidden) + 1):
            values = np.tanh(values) if layer else values
            values = values @ tensors[f"layer{layer}.weights"] + tensors[f"layer{layer}.bias"]
        outputs.append(wide + values)
    return np.array(outputs)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)], ids=str)
@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_outputs_are_the_linear_part_plus_the_network(
    n_classes: int, hidden: tuple[int, ...]
) -> None:
    schema = Schema(14, n_classes, sparse=True, n_dense=N_DENSE, n_fields=FIELDS)
    model = WideDeep.of(schema, hidden=hidden, activation="tanh", embedding=3)
    parameters, (numbers, categories) = random_parameters(model), examples(6)
    outputs = twin_outputs(model, parameters, numbers, categories)
    expected = {
        0: outputs[:, 0],
        2: 1 / (1 + np.exp(-outputs[:, 0])),
        3: np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True),
    }
    found = model.predict(parameters, as_features(numbers, categories))
    np.testing.assert_allclose(found, expected[n_classes])


def test_categories_may_stand_alone() -> None:
    model = WideDeep.of(Schema(12, 2, sparse=True, n_fields=3), hidden=(5,), embedding=3)
    assert "wide.weights" not in [tensor.name for tensor in model.tensors]
    _, categories = examples(6)
    features = as_features(np.empty((6, 0)), categories)
    assert model.predict(random_parameters(model), features).shape == (6,)


def test_a_row_has_linear_weights_and_the_embedding_of_a_category() -> None:
    model = WideDeep.of(SCHEMA, hidden=(5,), embedding=3)
    assert {tensor.name: tensor.shape for tensor in model.tensors} == {
        "fields": (12, 1 + 3),
        "wide.weights": (2, 1),
        "layer0.weights": (2 + 3 * 3, 5),
        "layer0.bias": (5,),
        "layer1.weights": (5, 1),
        "layer1.bias": (1,),
    }


@pytest.mark.parametrize(
    ("n_classes", "task"), [(0, Task.REGRESSION), (2, Task.BINARY), (4, Task.MULTICLASS)]
)
def test_the_task_is_that_of_the_targets(n_classes: int, task: Task) -> None:
    assert WideDeep(2, (0, 4), n_classes).task is task


def test_its_layers_begin_as_those_of_a_network_and_the_numbers_weights_at_zero() -> None:
    model = WideDeep.of(SCHEMA, hidden=(5,), embedding=3, spread=0.02)
    first = views(initial_values(model.tensors, model, "it", 7), model.tensors)
    assert np.abs(first[0]).max() <= 0.02
    assert first[0].std() == pytest.approx(0.02 / math.sqrt(3), rel=0.2)
    assert not first[1].any()
    network = MLP(11, 1, (5,))
    layers = views(network.initial(np.random.default_rng(7)), network.tensors)
    for ours, theirs in zip(first[2:], layers, strict=True):
        assert np.array_equal(ours, theirs)


def test_data_without_categories_are_refused_with_the_data_that_have_some() -> None:
    with pytest.raises(ModelError, match="needs categorical columns, which CSV and Parquet"):
        WideDeep.of(Schema(14, 2))


def test_a_hidden_layer_needs_units() -> None:
    with pytest.raises(ModelError, match=r"at least 1 unit, got \(5, 0\)"):
        WideDeep.of(SCHEMA, hidden=(5, 0))
