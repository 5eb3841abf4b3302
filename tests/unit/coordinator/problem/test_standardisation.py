"""What a run is trained on follows from its model, its data and the model that it goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.statistics import statistics_of
from distbelief.app.errors import ConfigError
from distbelief.app.models.files import SavedModel
from distbelief.app.models.scaling import Scaled, Scaling
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.problem.standardisation import in_one_unit


def made(**settings: Any) -> Problem:
    return prepare(RunConfig(**settings), 2)


def scaling_of(problem: Problem) -> Scaling:
    assert problem.scaling is not None
    assert isinstance(problem.model, Scaled)
    return problem.scaling


CLICKS = {"data": "synthetic:clicks", "model": "logistic", "data_options": {"features": 64}}


def test_dense_columns_are_standardised_and_constant_ones_centred() -> None:
    found = scaling_of(made(data="digits"))
    assert found.n_columns == 64
    assert found.factors[0] == 1.0  # the corner of all pictures is white
    assert (found.target_mean, found.target_factor) == (0.0, 1.0)


CENTIMETRES = np.array([0.43, 0.76, 0.83, 1.76]) * np.random.default_rng(0).normal(size=(99, 4))


@pytest.mark.parametrize(
    ("columns", "alike"),
    [
        (CENTIMETRES, True),
        (np.hstack([CENTIMETRES, np.ones((99, 1))]), True),  # what is constant says nothing
        (np.hstack([CENTIMETRES, 9 * CENTIMETRES[:, :1]]), True),
        (np.hstack([CENTIMETRES, 9 * CENTIMETRES[:, 3:]]), False),
        (np.hstack([CENTIMETRES, CENTIMETRES[:, :1] > 0.2]), False),  # yes or no
        (np.ones((9, 2)), False),
    ],
)
def test_columns_are_in_one_unit_where_spreads_are_alike_and_no_column_has_two_values(
    columns: Any, alike: bool
) -> None:
    assert in_one_unit(statistics_of(columns, columns.shape[1])) is alike


@pytest.mark.parametrize(
    ("settings", "one"),
    [
        ({"model": "mlp"}, True),
        ({"model": "mlp", "hidden": []}, False),
        ({"model": "softmax"}, False),
    ],
)
def test_a_network_keeps_the_unit_of_columns_that_have_one(
    tmp_path: Path, settings: dict[str, Any], one: bool
) -> None:
    path = str(tmp_path / "flowers.npz")
    np.savez(path, x=CENTIMETRES, y=np.arange(99) % 3)
    factors = np.array(scaling_of(made(data=path, **settings)).factors)
    spread = CENTIMETRES.std(axis=0)
    wanted = 1 / np.sqrt(np.mean(spread**2)) if one else 1 / spread
    np.testing.assert_allclose(factors, np.broadcast_to(wanted, 4), rtol=1e-6)


def test_targets_of_a_regression_are_standardised() -> None:
    problem = made(data="synthetic:linear", model="linear")
    targets = problem.dataset.targets
    found = scaling_of(problem)
    assert found.target_mean == pytest.approx(targets.mean(), rel=1e-5)
    assert found.target_factor == pytest.approx(1 / targets.std(), rel=1e-5)
    assert problem.loss_unit == pytest.approx(targets.var(), rel=1e-5)


def test_sparse_columns_stay_as_they_are() -> None:
    problem = made(**CLICKS)
    assert problem.scaling is None
    assert problem.loss_unit == 1.0


def test_nothing_is_scaled_if_it_is_not_wanted() -> None:
    problem = made(data="synthetic:linear", model="linear", standardize=False)
    assert problem.scaling is None
    assert not isinstance(problem.model, Scaled)


def test_sparse_columns_cannot_be_standardised() -> None:
    with pytest.raises(ConfigError, match="standardize = true needs columns that hold a number"):
        made(**CLICKS, standardize=True)


def test_a_model_of_the_users_own_scales_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "tests")
    theirs = {"model": "tests.cluster.usermodels:Centred", "data": "synthetic:softmax"}
    with pytest.raises(
        ConfigError, match=r"standardize = true is for our own .*usermodels:Centred"
    ):
        made(**theirs, standardize=True)
    assert made(**theirs).scaling is None


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, Problem]:
    """A model that was trained on standardised columns, and the problem that it solved."""
    problem = made(data="synthetic:linear", model="linear")
    numbers = np.random.default_rng(0).normal(size=problem.layout.size).astype(np.float32)
    slots = {"adagrad": np.abs(numbers)}
    settings = problem.config.model_settings()
    model = SavedModel(settings, problem.dataset.schema, numbers, slots)
    model.folded(problem.scaling).save(tmp_path / "before")
    return str(tmp_path / "before"), problem


def test_a_training_goes_on_where_it_was(saved: tuple[str, Problem]) -> None:
    """On the scaling of the model, though other data have another one."""
    file, before = saved
    options = {"examples": 500}
    after = made(data="synthetic:linear", model="linear", init_from=file, data_options=options)
    numbers = np.random.default_rng(0).normal(size=before.layout.size).astype(np.float32)
    assert after.scaling == before.scaling
    assert np.array_equal(after.initial_values.parameters.astype(np.float32), numbers)
    assert np.array_equal(after.initial_values.slots["adagrad"], np.abs(numbers))


def test_a_training_that_goes_on_unscaled_has_the_raw_parameters_and_new_slots(
    saved: tuple[str, Problem],
) -> None:
    file, before = saved
    after = made(data="synthetic:linear", model="linear", init_from=file, standardize=False)
    x = before.dataset.features[:10].astype(np.float64)
    numbers = np.random.default_rng(0).normal(size=before.layout.size).astype(np.float32)
    np.testing.assert_allclose(
        after.model.predict(after.initial_values.parameters, x),
        before.model.predict(numbers.astype(np.float64), x),
    )
    assert set(after.initial_values.slots["adagrad"].tolist()) == {0.1}


def test_a_training_goes_on_from_a_model_of_raw_columns_on_raw_columns(tmp_path: Path) -> None:
    problem = made(data="synthetic:linear", model="linear", standardize=False)
    numbers = np.ones(problem.layout.size, np.float32)
    SavedModel(problem.config.model_settings(), problem.dataset.schema, numbers).save(
        tmp_path / "before"
    )
    after = {"data": "synthetic:linear", "model": "linear", "init_from": str(tmp_path / "before")}
    assert made(**after).scaling is None
    assert made(**after, standardize=True).scaling is not None


def test_a_resumed_run_keeps_its_scaling_or_has_none_as_in_older_records() -> None:
    problem = made(data="digits")
    other = Scaling((1.0,) * 64, (2.0,) * 64)
    schema = problem.dataset.schema
    record = RunRecord("r", problem.config, problem.layout, (), "", schema, scaling=other)
    document = record.to_json()
    again = RunRecord.from_json("r", document)
    assert prepare(again.config, 2, recorded=again).scaling == other
    del document["scaling"]
    older = RunRecord.from_json("r", document)
    assert prepare(older.config, 2, recorded=older).scaling is None


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"algorithm": "sandblaster", "model": "softmax"}, 0.25),
        ({"algorithm": "sandblaster", "model": "softmax", "l2": 0.5}, None),
        ({"algorithm": "sandblaster", "model": "softmax", "l1": 0.5}, 0.0),
        ({"algorithm": "sandblaster", "model": "linear"}, 0.0),
        ({"model": "softmax"}, 0.0),
    ],
)
def test_classes_that_might_be_separable_have_a_small_penalty(
    settings: dict[str, Any], share: float | None
) -> None:
    source = "synthetic:linear" if settings["model"] == "linear" else "synthetic:softmax"
    problem = made(data=source, **settings)
    assert problem.config.l2 == (0.5 if share is None else share / problem.n_train)


@pytest.mark.parametrize(("optimizer", "rate"), [("adagrad", 0.05), ("adam", 0.001)])
def test_a_run_is_recorded_with_its_rate(optimizer: str, rate: float) -> None:
    assert made(optimizer=optimizer).config.learning_rate == rate
    assert made(optimizer=optimizer, learning_rate=0.3).config.learning_rate == 0.3
