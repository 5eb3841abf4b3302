"""A problem is complete and sound before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.errors import ConfigError, DataError, ModelError
from distbelief.app.layout.layout import Layout
from distbelief.app.models.files import SavedModel
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.sandblaster.portion_count import LEAST_PORTIONS, portions_of
from distbelief.coordinator.training.plan import Plan
from distbelief.coordinator.training.training import train
from tests.dividing import split


def problem(n_servers: int = 2, **settings: Any) -> Problem:
    return prepare(
        RunConfig(**{"data": "synthetic:softmax", "model": "softmax"} | settings), n_servers
    )


def test_parameters_and_slots_have_a_number_for_each_parameter() -> None:
    made = problem(initial_accumulator=0.25)
    assert made.initial_values.parameters.shape == (20 * 5 + 5,)
    assert made.initial_values.slots["adagrad"].tolist() == [0.25] * made.layout.size


def test_first_values_follow_from_the_seed() -> None:
    first, again, other = (
        problem(model="mlp", seed=seed).initial_values.parameters for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_plan_has_the_steps_of_every_subset() -> None:
    made = problem(replicas=3, batch_size=7, passes=2, holdout=0.1)
    train, heldout = split(1000, 0.1, 0)
    steps = [Subset(train, r, 3, 0).steps_per_pass(7) for r in range(3)]
    assert UnitPlan.of(made).total_steps == 2 * sum(steps)
    assert made.n_heldout == len(heldout)


def test_shards_are_spread_over_the_servers() -> None:
    made = problem(n_servers=3, block_numbers=16)
    assert made.layout.n_servers == 3
    assert {made.layout.server(shard) for shard in range(made.layout.n_shards)} == {0, 1, 2}


def test_a_data_file_is_named_so_that_workers_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "mine.npz", x=np.eye(10, dtype=np.float32), y=np.arange(10) % 2)
    monkeypatch.chdir(tmp_path)
    assert problem(data="mine.npz").config.data == str(tmp_path / "mine.npz")


def test_a_saved_model_gives_parameters_and_accumulators(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    parameters, accumulators = np.random.default_rng(0).random((2, 105), np.float32)
    settings = ModelSettings(model="softmax")
    SavedModel(settings, Schema(20, 5), parameters, {"adagrad": accumulators}).save(file)
    made = problem(init_from=str(file))
    assert np.array_equal(made.initial_values.parameters, parameters)
    assert np.array_equal(made.initial_values.slots["adagrad"], accumulators)


def test_a_model_saved_without_accumulators_starts_with_fresh_ones(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    SavedModel(ModelSettings(model="softmax"), Schema(20, 5), np.ones(105, np.float32)).save(file)
    made = problem(init_from=str(file))
    assert made.initial_values.slots["adagrad"].tolist() == [0.1] * 105


def test_accumulators_are_left_behind_by_a_rule_that_has_none(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    parameters = np.ones(105, np.float32)
    SavedModel(
        ModelSettings(model="softmax"), Schema(20, 5), parameters, {"adagrad": parameters}
    ).save(file)
    assert problem(init_from=str(file), optimizer="sgd").initial_values.slots == {}


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        ("momentum", {"momentum": 2.0}),
        ("rmsprop", {"rmsprop": 2.0}),
        # The correction of Adam's means counts from this run's first update.
        ("adam", {"adam_m": 0.0, "adam_v": 0.0}),
        # z must give back the saved parameters, all 1, with this run's alpha of 0.5.
        ("ftrl", {"ftrl_n": 2.0, "ftrl_z": -(1 + 2**0.5) / 0.5}),
    ],
)
def test_a_rule_takes_over_of_its_own_slots_what_still_holds(
    tmp_path: Path, optimizer: str, slots: dict[str, float]
) -> None:
    file = tmp_path / "old.safetensors"
    ones = np.ones(105, np.float32)
    saved = dict.fromkeys((*slots, "adagrad"), 2 * ones)
    SavedModel(ModelSettings(model="softmax"), Schema(20, 5), ones, saved).save(file)
    made = problem(init_from=str(file), optimizer=optimizer, learning_rate=0.5).initial_values.slots
    assert {name: set(values.tolist()) for name, values in made.items()} == {
        name: {value} for name, value in slots.items()
    }


def test_a_saved_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    SavedModel(ModelSettings(model="softmax"), Schema(20, 4), np.ones(84, np.float32)).save(file)
    with pytest.raises(DataError, match=r"5 classes, it must have those of the model .*old.*: 4"):
        problem(init_from=str(file))


def test_a_saved_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    SavedModel(ModelSettings(model="softmax"), Schema(20, 5), np.ones(105, np.float32)).save(file)
    with pytest.raises(ModelError, match=r"old\.safetensors holds a softmax for 20 features"):
        problem(model="mlp", init_from=str(file))


def test_a_saved_model_with_infinite_parameters_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    parameters = np.full(105, np.inf, np.float32)
    SavedModel(ModelSettings(model="softmax"), Schema(20, 5), parameters).save(file)
    with pytest.raises(ModelError, match=r"old\.safetensors holds NaN or infinity"):
        problem(init_from=str(file))


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"data": "digts"}, DataError, "did you mean 'digits'"),
        ({"data_options": {"examples": 4}, "holdout": 0.9}, DataError, "holdout 0.9 of 4"),
        ({"model": "linearr"}, ModelError, 'did you mean "linear"'),
        ({"shards": 2, "block_numbers": 9999}, ConfigError, "2 shards are more than the 1 blocks"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_cannot_be_trained_is_said_before_it_begins(
    settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        problem(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"replicas": 900}, DataError, "900 subsets are more than the 800 training examples"),
        ({"warm_start_steps": 10_000}, ConfigError, "warm_start_steps = 10000 is more than"),
        (
            {"algorithm": "sandblaster", "portions": 900},
            ConfigError,
            "portions = 900 is more than the 800 training examples: use at most 800",
        ),
    ],
    ids=["too many replicas", "too long a warm start", "too many portions"],
)
def test_work_that_cannot_be_divided_is_refused_before_anything_is_started(
    settings: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    cluster, said = ClusterConfig(folder=str(tmp_path / "runs")), list[str]()
    with pytest.raises(error, match=words):
        train(problem(**settings), cluster, Callbacks(said.append, lambda _: None))
    with pytest.raises(error, match=words):
        Plan.of(problem(**settings), cluster)
    assert said == []
    assert not (tmp_path / "runs").exists()


MINE = """
import numpy as np
from distbelief.app.models.linear import SoftmaxRegression

def Softmax(n_features, n_classes, start=0.0):
    class Mine(SoftmaxRegression):
        def initial(self, rng):
            return np.full(super().initial(rng).shape, start)
    return Mine(n_features, n_classes)
"""


def test_a_model_of_ones_own_is_built_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_models.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "own_models")
    made = problem(model="own_models:Softmax", model_options={"start": 0.5})
    assert made.initial_values.parameters.tolist() == [0.5] * 105


def test_a_model_of_ones_own_needs_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "other")
    with pytest.raises(ModelError, match="DISTBELIEF_ALLOWED_IMPORTS=other,own_models"):
        problem(model="own_models:Softmax")


def test_portions_of_sparse_data_follow_what_an_example_touches() -> None:
    """2^20 weights, of which an example touches 20: there is little to share out."""
    options = {"examples": 300, "features": 2**20}
    made = problem(
        algorithm="sandblaster", data="synthetic:clicks", model="logistic", data_options=options
    )
    assert made.layout.size > 2**19
    assert portions_of(made) == LEAST_PORTIONS


def test_a_resumed_run_keeps_its_shards_on_as_many_servers() -> None:
    config = RunConfig(n_push=1, n_fetch=1)
    made = prepare(config, 2)
    layout = Layout.plan(made.layout.tensors, n_servers=2, n_shards=5)
    recorded = RunRecord("run", made.config, layout, (), made.data.fingerprint, made.dataset.schema)
    assert prepare(config, 2, recorded=recorded).layout == layout
    assert prepare(config, 3, recorded=recorded).layout == prepare(config, 3).layout
