"""A training begins when workers listen on every queue that it needs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from distbelief.app.errors import NoWorkers
from distbelief.app.runs.roster import Seen
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.runs.messages import Messages, shared_names

NEEDED = {"downpour", "evaluation"}


class Crowd:
    """Workers that answer a ping, each round one more of them; a round takes a second."""

    def __init__(self, *workers: list[str]) -> None:
        self.workers = workers
        self.rounds = 0

    address = "redis://control"
    celery_app = None

    def queue_of(self, kind: str) -> str:
        return kind

    def sleep(self, seconds: float) -> None:
        pass

    def queues_served(self, answer_s: float) -> list[tuple[str, set[str]]]:
        present = self.workers[: self.rounds]
        self.rounds += 1
        return [(f"worker{index}", set(queues)) for index, queues in enumerate(present)]

    def monotonic(self) -> float:
        return float(self.rounds)


def wait(monkeypatch: pytest.MonkeyPatch, crowd: Crowd, timeout_s: float = 5) -> list[str]:
    monkeypatch.setattr(preflight, "time", crowd)
    return preflight.wait_for_workers(cast("Messages", crowd), NEEDED, timeout_s)


def test_one_worker_may_serve_all_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(["downpour", "evaluation", "sandblaster"])
    wait(monkeypatch, crowd)
    assert crowd.rounds == 2


def test_workers_may_share_the_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(["evaluation"], ["sandblaster"], ["downpour"])
    assert wait(monkeypatch, crowd) == ["worker0", "worker2"]
    assert crowd.rounds == 4


def test_a_name_that_several_workers_have_is_told_with_what_to_do() -> None:
    (sentence,) = shared_names(["a@host", "b@host", "a@host"])
    assert sentence.startswith("2 workers are called a@host")
    assert sentence.endswith("start each with a name of its own (--hostname NAME@%h)")


def test_workers_for_other_queues_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoWorkers, match=r"after 5 s \(2 workers listen on other queues\)"):
        wait(monkeypatch, Crowd(["downpour"], ["sandblaster"]))


def test_no_worker_is_waited_for_as_long_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd()
    with pytest.raises(
        NoWorkers, match="redis://control after 7 s: start one with 'celery -A distbelief"
    ):
        wait(monkeypatch, crowd, timeout_s=7)
    assert 7 < crowd.rounds < 10


@pytest.mark.parametrize(
    ("queues", "command"),
    [
        (set(), "celery -A shop worker"),
        ({"celery"}, "celery -A shop worker -Q celery"),
        ({"training", "celery"}, "celery -A shop worker -Q celery,training"),
    ],
)
def test_the_command_that_starts_a_worker_names_each_queue_once(
    queues: set[str], command: str
) -> None:
    assert preflight.start_command("shop", queues) == command


@pytest.mark.parametrize(
    ("silent", "named"),
    [
        ((), []),
        (("w@far 1f",), ["no sign of life of w@far: it begins without"]),
        (tuple(f"w@h{n} 1f" for n in range(8)), ["w@h0, w@h1, w@h2, w@h3, w@h4 and 3 others: "]),
    ],
)
def test_workers_that_are_heard_of_no_more_are_named(
    silent: tuple[str, ...], named: list[str]
) -> None:
    said, messages = list[str](), SimpleNamespace(seen=lambda: Seen((), silent))
    preflight.tell_silent(cast("Messages", messages), said.append)
    assert len(said) == len(named)
    assert all(part in each for part, each in zip(named, said, strict=True))
