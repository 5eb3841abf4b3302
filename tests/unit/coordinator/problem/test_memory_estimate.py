"""The memory that tables will need is told beforehand, and is enough."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.memory_estimate import PARAMETER_COPIES, SLOT_COPIES
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.views.description import describe

ROUNDS: tuple[dict[str, object], ...] = ({}, {"round_steps": 8})


def problem(**settings: object) -> Problem:
    options = {"examples": 500, "features": 5000, "fields": 5}
    words = {"data": "synthetic:clicks", "data_options": options, "model": "logistic"}
    return prepare(RunConfig.model_validate(words | settings), 2)


def test_without_tables_there_is_nothing_to_tell() -> None:
    assert problem().table_estimate is None
    assert problem(table_numbers=1, algorithm="sandblaster").table_estimate is None


def test_rows_that_occur_are_counted() -> None:
    made = problem(table_numbers=1, holdout=0.0)
    assert made.table_estimate is not None
    columns = np.unique(made.dataset.features[:].indices)
    assert (made.table_estimate.rows, made.table_estimate.touched) == (5000, len(columns))


@pytest.mark.parametrize(("optimizer", "n_slots"), [("sgd", 0), ("adagrad", 1), ("adam", 2)])
def test_blocks_that_occur_are_likely_and_all_of_them_the_most(
    optimizer: str, n_slots: int
) -> None:
    made = problem(table_numbers=1, holdout=0.0, optimizer=optimizer)
    assert made.table_estimate is not None
    copies = PARAMETER_COPIES + SLOT_COPIES * n_slots
    blocks = len(np.unique(made.dataset.features[:].indices // 16))
    a_block = 16 * 4 * 5 // 4 + 64
    assert made.table_estimate.likely == copies * (4 + blocks * a_block)
    assert made.table_estimate.most == copies * (4 + 313 * a_block)


def test_a_hybrid_refuses_tables_and_says_how_to_do_without() -> None:
    with pytest.raises(ConfigError, match=r"keeps no tables of rows.* table_numbers above \d+ if"):
        problem(algorithm="hybrid", table_numbers=1)
    made = problem(algorithm="hybrid", table_numbers=10**9)
    assert not made.layout.tables
    parts = [problem(algorithm=each, table_numbers=10**9) for each in ("downpour", "sandblaster")]
    assert made.memory.servers >= max(each.memory.servers for each in parts)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"round_seconds": 1.0}, "round_seconds is not for tables, .* steps that are known"),
        (
            {"outer_optimizer": "delayed_nesterov", "outer_momentum": 0.9},
            "outer_optimizer delayed_nesterov is not for tables, .* choose nesterov",
        ),
    ],
)
def test_rounds_of_tables_are_refused_only_where_they_cannot_be(
    settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{why}.* table_numbers above \d+ if"):
        problem(round_steps=8, table_numbers=1, **settings)
    assert problem(round_steps=8, table_numbers=1).layout.tables
    assert not problem(round_steps=8, table_numbers=10**9, **settings).layout.tables


def test_with_rounds_the_state_of_each_stream_is_kept_in_a_process() -> None:
    usual, made = (problem(table_numbers=10**9, replicas=4, **each) for each in ROUNDS)
    vector = 4 * made.layout.size
    assert made.memory.process == usual.memory.process + 4 * vector
    assert made.memory.servers < usual.memory.servers  # averaging has no slot
    usual, by_row = (problem(table_numbers=1, replicas=4, **each) for each in ROUNDS)
    assert by_row.table_estimate is not None
    of_rows = by_row.table_estimate.touched + by_row.table_estimate.rows  # and where they are
    dense = by_row.layout.size
    assert by_row.memory.process == usual.memory.process + 4 * 4 * (dense + of_rows)
    outer = {"outer_learning_rate": 1.0, "outer_momentum": 0.0, "step_weight": 4.0}
    assert outer.items() <= made.config.model_dump().items()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"algorithm": "sandblaster"}, "algorithm downpour keeps rows as tables"),
        ({"table_numbers": 10**12}, "lower table_numbers keeps rows as tables"),
    ],
)
def test_dense_parameters_without_room_are_refused_before_anything_is_allocated(
    tmp_path: Path, settings: dict[str, Any], advice: str
) -> None:
    path = tmp_path / "wide.libsvm"
    path.write_text("1 1:1 2147483647:1\n0 1:1\n" * 3)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"has 137,438,953,602 numbers: .* are left here"):
            prepare(RunConfig(data=str(path), model="mlp", **settings), 2)
        with pytest.raises(ModelError, match=advice):
            prepare(RunConfig(data=str(path), model="mlp", **settings), 2)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert describe(str(path), {}).dataset.n_features == 2**31 - 1
