"""A worker measures its way to the servers when it is asked, and tells what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from distbelief.coordinator.downpour.links import Link, measure_links, replica_links
from distbelief.worker_tasks import link_trial
from distbelief.worker_tasks.link_speed import ENDLESS

RATE = 1e7


class SteadyWay:
    """A link of ``RATE`` bytes a second, with a tenth of a second there and back."""

    def __init__(self, *_: object) -> None:
        self.sent: list[int] = []
        self.cleared = False
        ways.append(self)

    def there_and_back(self, size: int) -> tuple[float, float]:
        self.sent.append(size)
        return 0.001 + size / RATE, 0.001 + 2 * size / RATE

    def clear(self) -> None:
        self.cleared = True


ways: list[SteadyWay] = []


class Quick:
    """Servers that answer at once."""

    def __len__(self) -> int:
        return 2

    def one(self, *_: object) -> bytes:
        return b"PONG"


def test_a_link_is_measured_with_messages_as_long_as_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_trial, "Way", SteadyWay)
    servers: Any = Quick()
    found = link_trial.measure(servers, 1 << 30)
    assert found["up"] == pytest.approx(RATE)
    assert found["down"] == pytest.approx(RATE / 2)
    (way,) = ways
    assert way.cleared
    assert max(way.sent) == 1 << 20  # the first that takes a tenth of a second
    assert link_trial.measure(servers, 1 << 16)["up"] == pytest.approx(RATE, rel=0.2)
    assert found["round_trip_s"] < 1.0


def test_where_longer_messages_take_no_longer_there_is_no_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_trial, "Way", SteadyWay)
    monkeypatch.setattr(SteadyWay, "there_and_back", lambda *_: (0.001, 0.001))
    servers: Any = Quick()
    assert link_trial.measure(servers, 1 << 20)["up"] == ENDLESS


def test_a_worker_beside_the_servers_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def urls() -> tuple[str, ...]:
        return ("redis://127.0.0.1:1", "unix:///tmp/nobody")

    monkeypatch.setattr(link_trial, "workers_parameter_servers", urls)
    assert link_trial.link("word", [], 1000) == {"here": True}


class Asked:
    """Workers that need to be asked twice; one of them is beside the servers, one is too old."""

    def __init__(self) -> None:
        self.count = 0

    def queue_of(self, kind: str) -> str:
        return f"distbelief.{kind}"

    def answers(self, _: str) -> list[tuple[str, dict[str, Any]]]:
        processes = {"far@a": 4, "near@b": 1, "old@c": 1}
        here = {"queues": ["distbelief.downpour"]}
        return [(name, {**here, "processes": count}) for name, count in processes.items()] + [
            ("other@d", {"queues": ["distbelief.evaluation"], "processes": 9})
        ]

    def ask(self, command: str, to: Sequence[str], **words: Any) -> dict[str, dict[str, Any]]:
        assert command == "link"
        assert words.keys() == {"word", "servers", "most_bytes"}
        self.count += 1
        known: dict[str, dict[str, Any]] = {
            "far@a": {"up": 8e6, "down": 4e6, "round_trip_s": 0.5},
            "near@b": {"here": True},
            "old@c": {"error": "unknown question link"},
        }
        if self.count == 1:
            return {name: {"pending": True} for name in to if name == "far@a"} | {
                name: known[name] for name in to if name != "far@a"
            }
        return {name: known[name] for name in to}


class Addressed:
    addresses = ("redis://a", "redis://b")


def test_links_are_those_of_workers_that_have_any() -> None:
    asked, servers = Asked(), Addressed()
    messages: Any = asked
    known: Any = servers
    found = measure_links(messages, known, ["far@a", "near@b", "old@c"], 10**9)
    assert found == {"far@a": Link(8e6, 4e6, 0.5)}
    assert asked.count == 2
    assert found["far@a"].exchange_s(8e6, 8e6) == pytest.approx(0.5 + 1 + 2)


@pytest.mark.parametrize(("replicas", "share"), [(2, 1), (6, 2), (100, 4)])
def test_replicas_share_the_link_of_their_worker(replicas: int, share: int) -> None:
    """As many as come to each of three workers, and no more than one has processes."""
    messages: Any = Asked()
    known: Any = Addressed()
    (link,) = replica_links(messages, known, replicas, 1000)
    assert link == Link(8e6 / share, 4e6 / share, 0.5)
