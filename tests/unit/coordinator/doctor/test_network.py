"""What the doctor says of links, and of what a run will need of them."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.doctor import network
from distbelief.coordinator.doctor.findings import Severity
from distbelief.coordinator.downpour import choice
from distbelief.coordinator.downpour.intervals import MeasuredCosts
from distbelief.coordinator.downpour.links import Link
from distbelief.coordinator.problem.problem import Problem, prepare

SLOW, FAST = Link(1e5, 1e5, 0.001), Link(1e9, 1e9, 0.0001)


class Native:
    engines = ("native", "native")


def judged(problem: Problem, link: Link | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    for module in (choice, network):
        monkeypatch.setattr(module, "measure_costs", lambda *_: MeasuredCosts(0.001, 0.0005))
    servers: Any = Native()
    links = {} if link is None else {"w@there": link}
    return network.judge_run(problem, servers, links)


def test_a_link_is_told_with_what_it_carries() -> None:
    (found,) = network.judge_links({"w@there": Link(12.5e6, 25e6, 0.001)})
    assert found.subject == "worker w@there"
    assert "carries 12.5 MB/s up and 25 MB/s down" in found.what


def test_a_run_is_told_its_bytes_and_how_long_workers_will_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = prepare(RunConfig(), 2)
    (found,) = judged(usual, FAST, monkeypatch)
    assert (found.subject, found.severity) == ("network", Severity.OK)
    assert found.what.startswith("by n_push 2 a step takes 19.2 kB, and workers will wait for")
    assert judged(usual, None, monkeypatch)[0].severity is Severity.OK
    given = prepare(RunConfig(n_push=2), 2)
    (warned,) = judged(given, SLOW, monkeypatch)
    assert warned.severity is Severity.WARNING
    assert "for some 99% of their time" in warned.what
    _, chosen = judged(prepare(RunConfig(), 2), SLOW, monkeypatch)
    assert chosen.severity is Severity.NOTE
    assert chosen.what.startswith("auto: rounds of")
    assert judged(prepare(RunConfig(algorithm="sandblaster"), 2), SLOW, monkeypatch) == []


def test_without_workers_nothing_is_measured() -> None:
    nobody: Any = None
    assert network.examine(nobody, nobody, [], None, "auto") == []
