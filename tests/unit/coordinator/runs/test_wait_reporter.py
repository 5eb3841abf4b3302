"""What is waited for is told, but not more often than people want to read it."""

from __future__ import annotations

import pytest

from distbelief.coordinator.runs import wait_reporter as waits
from distbelief.coordinator.runs.wait_reporter import AGAIN_S, WaitReporter


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waits, "time", clock)
    return clock


def test_a_wait_is_told_at_once_and_then_now_and_then(clock: Clock) -> None:
    told: list[str] = []
    tell = WaitReporter(told.append)
    tell("a is silent", 3.2)
    clock.now += AGAIN_S - 0.1
    tell("a is silent", 8.1)
    assert told == ["waiting for 3 s: a is silent"]
    clock.now += 0.2
    tell("a is silent", 8.3)
    assert told[1:] == ["waiting for 8 s: a is silent"]


@pytest.mark.usefixtures("clock")
def test_each_thing_that_is_waited_for_is_told() -> None:
    told: list[str] = []
    tell = WaitReporter(told.append)
    for what in ("a is silent", "b is silent"):
        tell(what, 4.0)
    assert told == ["waiting for 4 s: a is silent", "waiting for 4 s: b is silent"]
