"""What an exchange costs is measured on the servers, which keep nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour import choice, intervals
from distbelief.coordinator.downpour.links import Link
from distbelief.coordinator.problem.problem import prepare

DIGITS: dict[str, Any] = {"hidden": (16,), "replicas": 2}


def keys(servers: Servers) -> list[int]:
    return [servers.one("DBSIZE", server=index) for index in range(len(servers))]


def test_an_interval_is_chosen_within_its_bounds_and_leaves_nothing_behind(
    servers: Servers,
) -> None:
    before = keys(servers)
    problem = prepare(RunConfig(**DIGITS), len(servers))
    problem = choice.choose_exchanges(problem, servers).problem
    assert problem.config.push_interval == problem.config.fetch_interval
    longest = 32 if Engine.LUA in servers.engines else 4
    assert 1 <= problem.config.push_interval <= longest
    assert keys(servers) == before


@pytest.mark.parametrize(
    ("settings", "expected"), [({"n_push": 3}, 3), ({"optimizer": "adam"}, 1)], ids=str
)
def test_where_there_is_no_choice_nothing_is_measured(
    servers: Servers, settings: dict[str, Any], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = prepare(RunConfig(**DIGITS | settings), len(servers))
    monkeypatch.setattr(servers, "only", None)  # whoever measures asks for each server alone
    assert choice.choose_exchanges(problem, servers).problem.config.push_interval == expected


def test_a_server_that_is_slow_is_asked_less_often(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interpreted Lua even more seldom, by rounds, unless an interval is given."""
    problem, lua = prepare(RunConfig(**DIGITS), len(servers)), Engine.LUA in servers.engines
    for exchange_s, expected in ((0.0, 1), (1.0, 32 if lua else 4)):
        monkeypatch.setattr(intervals, "measure_push_s", lambda *_, taken=exchange_s: taken)
        chosen = choice.choose_exchanges(problem, servers)
        config = chosen.problem.config
        assert config.push_interval == config.fetch_interval == expected
        assert config.round_steps == (expected if expected > 4 else None)
        assert chosen.changes == (expected > 4)
        if chosen.changes:
            said = chosen.lines()
            assert said[0].startswith(
                "auto: rounds of 32 steps, for an exchange of 9.68 kB takes 1,000"
            )
            assert "n_push 4 would leave workers idle for 100% of their time" in said[0]
            assert said[1].startswith(
                "warning: by rounds of 32 steps, 2 replicas in all will take some"
            )
            assert chosen.problem.initial_values.slots.keys() == set()
            assert "wire" not in chosen.problem.chosen


def test_what_is_chosen_for_slow_links_is_recorded_and_said(servers: Servers) -> None:
    link = Link(up=1e6, down=1e6, round_trip_s=0.01)
    problem = prepare(RunConfig(**DIGITS), len(servers))
    chosen = choice.choose_exchanges(problem, servers, [link, link])
    config = chosen.problem.config
    assert config.round_steps == config.push_interval
    assert config.wire == "bfloat16"
    assert config.outer_optimizer is not None
    assert {"wire", "round_steps", "outer_momentum"} <= {*chosen.problem.chosen}
    assert chosen.to_json()["link"] == {"up": 1e6, "down": 1e6, "round_trip_s": 0.01}
    assert "by a worker's link (1 MB/s up, 1 MB/s down)" in chosen.lines()[0]
    given = prepare(RunConfig(**DIGITS, wire="float32", n_push="auto"), len(servers))
    assert choice.choose_exchanges(given, servers, [link]).problem.config.wire == "float32"
    adam = prepare(RunConfig(**DIGITS, optimizer="adam"), len(servers))
    assert choice.choose_exchanges(adam, servers, [link]).problem.config.round_steps is None
