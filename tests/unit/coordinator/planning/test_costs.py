"""Costs of exchanges from samples, and the calibration as a document."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import ConfigError
from distbelief.coordinator.planning.calibration import SeenRate, from_json, read_calibration
from distbelief.coordinator.planning.costs import (
    LineCost,
    Measured,
    SmallExchanges,
    fit_line,
    spread_of,
)
from tests.unit.coordinator.planning.synthetic import calibration

costs = st.floats(1e-6, 1e-2)


def measured(true: LineCost, servers: int, calls: int, numbers: int) -> Measured:
    return Measured(servers, calls, numbers, {"client": (true.at(servers, calls, numbers),)})


@given(costs, costs, costs, st.floats(1e-9, 1e-7), st.integers(2, 9))
def test_a_line_is_found_again_from_four_layouts(
    fixed: float, per_server: float, per_call: float, per_number: float, servers: int
) -> None:
    true = LineCost(fixed, per_server, per_call, per_number)
    small = SmallExchanges(
        measured(true, 1, 1, 0),
        measured(true, servers, servers, 0),
        measured(true, servers, 8 * servers, 0),
    )
    found = fit_line("client", measured(true, servers, 3 * servers, 200_000), small)
    for elsewhere in [(1, 1, 10), (servers, servers, 10**6), (100, 300, 10**6)]:
        assert found.at(*elsewhere) == pytest.approx(true.at(*elsewhere), rel=1e-6)


def test_what_was_measured_is_met_even_where_small_calls_seem_dearer() -> None:
    dear = LineCost(1.0, 1.0, 1.0, 0.0)
    small = SmallExchanges(
        measured(dear, 1, 1, 0), measured(dear, 2, 2, 0), measured(dear, 2, 9, 0)
    )
    found = fit_line("client", Measured(2, 4, 100, {"client": (0.5,)}), small)
    assert found.at(2, 4, 100) == pytest.approx(0.5)
    assert found.per_number == 0


def test_a_distribution_keeps_its_shape_and_loses_what_was_interrupted() -> None:
    found = spread_of([1.0] * 150 + [3.0] * 48 + [1000.0, 2000.0])
    assert max(found) / min(found) == pytest.approx(3.0)
    assert sum(found) / len(found) == pytest.approx(1.0)


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = replace(calibration(), checks=(SeenRate("downpour", 2, 123.0),))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"calibration": known.to_json()}))
    assert read_calibration(file) == known


def test_one_algorithm_is_enough() -> None:
    known = replace(calibration(), sandblaster=None, link=None)
    assert from_json(json.loads(json.dumps(known.to_json()))) == known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read the calibration"),
        ("{", "holds no calibration"),
        ("[]", "holds no calibration"),
        ('{"calibration": {"format": 1, "work": {}}}', "holds no calibration"),
        ('{"calibration": {"format": 2}}', "of format 2, expected 1"),
    ],
)
def test_a_file_without_one_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_calibration(file)
