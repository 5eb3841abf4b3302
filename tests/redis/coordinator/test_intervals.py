"""What an exchange costs is measured on the servers, which keep nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour import intervals
from distbelief.coordinator.problem.problem import prepare

DIGITS: dict[str, Any] = {"hidden": (16,), "replicas": 2}


def keys(servers: Servers) -> list[int]:
    return [servers.one("DBSIZE", server=index) for index in range(len(servers))]


def test_an_interval_is_chosen_within_its_bounds_and_leaves_nothing_behind(
    servers: Servers,
) -> None:
    before = keys(servers)
    problem = intervals.choose_intervals(prepare(RunConfig(**DIGITS), len(servers)), servers)
    assert problem.config.push_interval == problem.config.fetch_interval
    assert problem.config.push_interval in (1, 2, 4)
    assert keys(servers) == before


@pytest.mark.parametrize(
    ("settings", "expected"), [({"n_push": 3}, 3), ({"optimizer": "adam"}, 1)], ids=str
)
def test_where_there_is_no_choice_nothing_is_measured(
    servers: Servers, settings: dict[str, Any], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = prepare(RunConfig(**DIGITS | settings), len(servers))
    monkeypatch.setattr(servers, "only", None)  # whoever measures asks for each server alone
    assert intervals.choose_intervals(problem, servers).config.push_interval == expected


def test_a_server_that_is_slow_is_asked_less_often(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = prepare(RunConfig(**DIGITS), len(servers))
    for exchange_s, expected in ((0.0, 1), (1.0, 4)):
        monkeypatch.setattr(intervals, "measure_push_s", lambda *_, taken=exchange_s: taken)
        assert intervals.choose_intervals(problem, servers).config.push_interval == expected
