"""Torch modules as models: the promises of every model, and torch as the oracle."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.tensors import views
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.models.metrics import score
from distbelief.app.models.model import Task
from distbelief.app.models.parameters import whole
from distbelief.app.settings.sections import ModelSettings
from tests.unit.app.models.torchcases import (
    CASES,
    allow,
    built,
    cut,
    evaluate,
    every_case,
    examples,
    parameters_for,
    plain,
)

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _nets(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)  # the modules are tiny
    allow(monkeypatch)


def loaded(factory: str, model: Any, parameters: Any, schema: Schema | None = None) -> Any:
    """The plain module with these parameters."""
    module = plain(factory, schema)
    names = (tensor.name for tensor in model.tensors)
    values = map(torch.tensor, views(parameters.astype("f4"), model.tensors))
    module.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    return module


@every_case
def test_the_gradient_is_that_of_central_differences(case: str) -> None:
    model, batch, step = built(case), examples(CASES[case]), 1e-6
    parameters = parameters_for(model)
    _, gradient = evaluate(model, parameters, batch)
    fixed = model.n_statistics + (20 if case == "frozen" else 0)
    for i, expected in enumerate(gradient):
        move = step * np.eye(parameters.size)[i]
        above, _ = evaluate(model, parameters + move, batch)
        below, _ = evaluate(model, parameters - move, batch)
        slope = (above - below) / (2 * step)
        if not fixed or expected:
            assert slope == pytest.approx(expected, rel=1e-5, abs=1e-8)
    assert np.count_nonzero(gradient) > 0


@every_case
def test_predictions_are_those_of_the_plain_module(case: str) -> None:
    model, (features, _) = built(case), examples(CASES[case])
    parameters = parameters_for(model).astype("f4")
    module = loaded(case, model, parameters).eval()
    with torch.no_grad():
        outputs = module(*inputs(case, features)).numpy().astype("f8")
    if model.task is Task.MULTICLASS:
        expected = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    else:
        expected = outputs if outputs.ndim == 1 else outputs[:, 0]
    if model.task is Task.BINARY:
        expected = 1 / (1 + np.exp(-expected))
    found = model.predict(parameters, features)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["dropping", "normed"])
def test_the_score_is_of_what_is_predicted_and_not_of_what_is_trained(case: str) -> None:
    model, (features, labels) = built(case), examples(CASES[case])
    parameters = parameters_for(model)
    found = score(whole(model, parameters), features, labels)
    probabilities = model.predict(parameters, features)
    of_label = probabilities[np.arange(len(labels)), labels]
    assert found.loss == pytest.approx(-np.log(of_label).mean())
    assert found.loss != pytest.approx(evaluate(model, parameters, (features, labels))[0])


def inputs(case: str, features: Any) -> tuple[Any, ...]:
    """What the plain module is given, made from a dense copy of the features."""
    if case == "Bag":
        rows = [np.flatnonzero(row) for row in features.toarray()]
        starts = np.cumsum([0, *map(len, rows)])[:-1]
        values = [row[own] for row, own in zip(features.toarray(), rows, strict=True)]
        columns = torch.tensor(np.concatenate(rows))
        return columns, torch.tensor(starts), torch.tensor(np.concatenate(values))
    if case == "Fields":
        dense = features.toarray()
        hot = dense[:, 2:].reshape(len(dense), 3, 4)
        ids = hot.argmax(axis=2) + np.array([0, 4, 8])
        return torch.tensor(dense[:, :2]), torch.tensor(ids)
    return (torch.tensor(features),)


@every_case
def test_the_same_minibatch_gives_the_same_gradient(case: str) -> None:
    model, batch = built(case), examples(CASES[case])
    parameters = parameters_for(model)
    state = torch.get_rng_state()
    first = evaluate(model, parameters, batch)
    torch.rand(7)
    again = evaluate(built(case), parameters, batch)
    assert first[0] == again[0]
    assert first[1].tobytes() == again[1].tobytes()
    torch.set_rng_state(state)


def test_a_model_leaves_the_process_its_random_numbers() -> None:
    model, batch = built("dropping"), examples(CASES["dropping"])
    parameters = parameters_for(model)
    before = torch.get_rng_state()
    evaluate(model, parameters, batch)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_examples_drop_other_units() -> None:
    model = built("dropping")
    parameters, dropped = parameters_for(model), set()
    for value in (1, 2, 3):
        _, gradient = evaluate(model, parameters, (np.full((1, 4), value, "f4"), np.array([0])))
        bias = views(gradient, model.tensors)[1]
        assert 0 < np.count_nonzero(bias) < 20
        dropped.add(tuple(np.flatnonzero(bias == 0)))
    assert len(dropped) == 3


@every_case
def test_parameters_and_examples_are_left_as_they_were(case: str) -> None:
    model, (features, targets) = built(case), examples(CASES[case])
    parameters = parameters_for(model)
    numbers = features.data if CASES[case].sparse else features
    before = [array.copy() for array in (numbers, targets, parameters)]
    for array in (numbers, targets, parameters):
        array.flags.writeable = False
    evaluate(model, parameters, (features, targets))
    model.predict(parameters, features)
    model.statistics(parameters, features) if model.n_statistics else None
    for array, copy in zip((numbers, targets, parameters), before, strict=True):
        assert np.array_equal(array, copy)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_parameters_and_gradients_are_the_callers_memory(dtype: str) -> None:
    seen = type(plain("watched", Schema(4, 3))).seen
    model = built("watched", Schema(4, 3))
    parameters = parameters_for(model).astype(dtype)
    gradient = np.empty_like(parameters)
    model.loss_and_gradient(parameters, *examples(Schema(4, 3)), gradient)
    ends = 12 * parameters.itemsize
    *_, weights, gradients = seen
    assert weights == (parameters.ctypes.data, parameters.ctypes.data + ends)
    assert gradients == (gradient.ctypes.data, gradient.ctypes.data + ends)


def test_a_model_does_not_hold_on_to_the_callers_memory() -> None:
    model, batch = built("layers"), examples(CASES["layers"])
    parameters = parameters_for(model)
    gradient = np.empty_like(parameters)
    model.loss_and_gradient(parameters, *batch, gradient)
    alive = weakref.ref(parameters), weakref.ref(gradient)
    del parameters, gradient
    assert [each() for each in alive] == [None, None]


def test_threads_take_turns() -> None:
    model, batch = built("Ids"), examples(CASES["Ids"])
    points = [parameters_for(model) * scale for scale in (1.0, 1.1, 1.2, 1.3)]
    expected = [evaluate(model, point, batch)[1] for point in points]
    found: list[list[bool]] = [[] for _ in points]

    def work(i: int) -> None:
        for _ in range(20):
            model.narrowed(batch[0])
            found[i].append(np.array_equal(evaluate(model, points[i], batch)[1], expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(points))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[True] * 20] * len(points)


@every_case
def test_a_narrowed_model_answers_as_the_whole_one(case: str) -> None:
    model, batch = built(case), examples(CASES[case])
    parameters = parameters_for(model)
    loss, gradient = evaluate(model, parameters, batch)
    narrowed = model.narrowed(batch[0])
    ours = cut(model.tensors, parameters, narrowed.rows)
    expected = cut(model.tensors, gradient, narrowed.rows)
    found_loss, found = evaluate(narrowed.model, ours, (narrowed.features, batch[1]))
    assert found_loss == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert np.count_nonzero(gradient) == np.count_nonzero(expected)  # none is left out
    predictions = narrowed.model.predict(ours, narrowed.features)
    np.testing.assert_allclose(predictions, model.predict(parameters, batch[0]), rtol=1e-14)


def test_rows_of_an_embedding_are_those_that_occur_and_how_often() -> None:
    features = np.array([[3, 5, 1, 1], [5, 7, 0, 4]], "f4")
    narrowed = built("Ids").narrowed(features)
    assert [rows.tolist() for rows in narrowed.rows] == [[3, 5, 7], [0, 1, 4]]
    assert [counts.tolist() for counts in narrowed.counts] == [[1, 2, 1], [1, 2, 1]]


@pytest.mark.parametrize("padding", [0, 3, 29])
def test_a_padding_row_stays_without_gradient_in_a_narrowed_model(padding: int) -> None:
    model = built("Ids", model_options={"padding_idx": padding})
    batch = np.array([[3, 0, 1, 1], [3, 7, 0, 4], [0, 0, 1, 1]], "f4"), np.array([0, 1, 2])
    parameters = parameters_for(model)
    _, gradient = evaluate(model, parameters, batch)
    narrowed = model.narrowed(batch[0])
    ours = cut(model.tensors, parameters, narrowed.rows)
    _, found = evaluate(narrowed.model, ours, batch)
    np.testing.assert_allclose(found, cut(model.tensors, gradient, narrowed.rows), atol=1e-15)


def test_a_weight_that_another_layer_has_too_is_not_sparse() -> None:
    assert [t.name for t in built("Tied").tensors if t.sparse] == []
    assert [t.name for t in built("Ids").tensors if t.sparse] == ["one.weight", "bag.weight"]


def test_first_values_are_those_of_the_module_and_a_function_of_the_seed() -> None:
    model = built("Ids")
    first, again = (model.initial(np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.float64
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != model.initial(np.random.default_rng(4)).tobytes()
    embedding = views(first, model.tensors)[0]
    assert embedding.shape == (30, 3)
    assert embedding.std() == pytest.approx(1, abs=0.3)  # as nn.Embedding draws them


def test_matrices_that_are_trained_are_penalised_and_nothing_else() -> None:
    assert [t.name for t in built("normed").tensors if t.penalised] == ["0.weight", "3.weight"]
    assert [t.name for t in built("frozen").tensors if t.penalised] == ["2.weight"]


def test_what_is_frozen_gets_no_gradient() -> None:
    model = built("frozen")
    _, gradient = evaluate(model, parameters_for(model), examples(CASES["frozen"]))
    weights, *others = views(gradient, model.tensors)
    assert not weights.any()
    assert all(other.any() for other in others)


def normed_data() -> tuple[Any, Any]:
    rng = np.random.default_rng(6)
    schema = CASES["normed"]
    features = rng.normal(3, 2, (40, 4)).astype("f4")
    return features, Dataset(features, rng.integers(0, 3, 40), schema, "it", "0")


def test_statistics_are_the_last_numbers_and_get_no_gradient() -> None:
    model = built("normed")
    assert [t.name for t in model.tensors[-2:]] == ["1.running_mean", "1.running_var"]
    assert model.n_statistics == 10
    _, gradient = evaluate(model, parameters_for(model), examples(CASES["normed"]))
    assert not gradient[-10:].any()


def test_recomputed_statistics_are_torchs_averages_over_the_same_minibatches() -> None:
    model, (features, dataset) = built("normed"), normed_data()
    parameters = parameters_for(model).astype("f4")
    train = np.random.default_rng(0).permutation(40)[:35]
    found = recompute_statistics(model, parameters, whole(model, parameters), dataset, train, 8)
    module = loaded("normed", model, parameters)
    module[1].momentum = None  # the average of all minibatches
    module[1].reset_running_stats()
    for rows in np.split(train[:32], 4):  # the last 3 examples are no full minibatch
        module(torch.tensor(features[rows]))
    assert found[:-10].tobytes() == parameters[:-10].tobytes()
    np.testing.assert_allclose(found[-10:-5], module[1].running_mean, rtol=1e-5)
    np.testing.assert_allclose(found[-5:], module[1].running_var, rtol=1e-5)


def test_fewer_examples_than_a_minibatch_give_statistics_too() -> None:
    model, (_, dataset) = built("normed"), normed_data()
    parameters = parameters_for(model)
    found = recompute_statistics(
        model, parameters, whole(model, parameters), dataset, np.arange(5), batch_size=100
    )
    assert np.array_equal(found[-10:], model.statistics(parameters, dataset.features[:5]))


def test_a_model_without_statistics_stays_as_it_is() -> None:
    model, (_, dataset) = built("layers"), normed_data()
    parameters = parameters_for(model)
    source = whole(model, parameters)
    assert recompute_statistics(model, parameters, source, dataset, np.arange(5), 2) is parameters


def test_a_saved_model_is_a_state_dict(tmp_path: Any) -> None:
    from safetensors.numpy import load_file

    settings = ModelSettings(model="torch", module="torchnets:normed")
    model, (features, _) = built("normed"), examples(CASES["normed"])
    parameters = parameters_for(model).astype("f4")
    path = tmp_path / "model.safetensors"
    SavedModel(settings, CASES["normed"], parameters, {"adagrad": parameters}).save(path)
    tensors = {k: torch.tensor(v) for k, v in load_file(path).items() if ":" not in k}
    module = loaded("normed", model, 0 * parameters)
    module.load_state_dict(tensors)
    found = torch.softmax(module.eval()(torch.tensor(features)), dim=1).detach()
    np.testing.assert_allclose(model.predict(parameters, features), found, rtol=1e-6)
    again = read_model(path)
    assert again.parameters.tobytes() == parameters.tobytes()


@pytest.mark.parametrize(
    ("factory", "schema", "task"),
    [
        ("layers", Schema(4, 0), Task.REGRESSION),
        ("layers", Schema(4, 2), Task.BINARY),
        ("two_outputs", Schema(4, 2), Task.MULTICLASS),
        ("layers", Schema(4, 3), Task.MULTICLASS),
    ],
)
def test_the_task_follows_from_targets_and_outputs(factory: str, schema: Any, task: Task) -> None:
    assert built(factory, schema).task is task


@pytest.mark.parametrize(
    ("factory", "schema", "name", "path"),
    [
        ("layers", Schema(4, 0), "mse", "torchnets:squared"),
        ("layers", Schema(4, 3), "cross_entropy", "torch.nn.functional:cross_entropy"),
        (
            "layers",
            Schema(4, 2),
            "log_loss",
            "torch.nn.functional:binary_cross_entropy_with_logits",
        ),
    ],
)
def test_the_loss_may_be_left_out_named_or_imported(
    factory: str, schema: Any, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "torchnets,torch.nn.functional")
    batch, losses = examples(schema), []
    for loss in (None, name, path):
        model = built(factory, schema, loss=loss)
        losses.append(evaluate(model, parameters_for(model), batch)[0])
    assert losses[0] == losses[1] == losses[2]


def test_a_loss_of_ones_own_is_what_is_minimised() -> None:
    schema = Schema(4, 3)
    model, (features, labels) = built("layers", schema, loss="torchnets:margin"), examples(schema)
    parameters = parameters_for(model).astype("f4")
    loss, _ = evaluate(model, parameters, (features, labels))
    outputs = loaded("layers", model, parameters, schema)(torch.tensor(features)).detach().numpy()
    margins = 1 - outputs[np.arange(8), labels][:, None] + outputs
    margins[np.arange(8), labels] = 0
    assert loss == pytest.approx(np.maximum(margins, 0).sum(axis=1).mean() / 3, rel=1e-5)


@pytest.mark.parametrize("case", ["layers"])
def test_weights_are_equal_to_repeated_examples(case: str) -> None:
    model, (features, targets) = built(case), examples(CASES[case])
    times = np.arange(len(targets)) % 3
    weights = (times / times.mean()).astype(np.float32)
    parameters = parameters_for(model)
    ours, theirs = np.empty_like(parameters), np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, features, targets, ours, weights=weights)
    repeated = features.repeat(times, axis=0), targets.repeat(times)
    assert loss == pytest.approx(model.loss_and_gradient(parameters, *repeated, theirs), rel=1e-5)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    assert model.takes_weights


def test_a_loss_of_ones_own_takes_no_weights() -> None:
    assert not built("layers", Schema(4, 2), loss="torchnets:margin").takes_weights
