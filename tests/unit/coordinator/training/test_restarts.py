"""A child that was started again is said at once, and noted by the training's own thread."""

from __future__ import annotations

from typing import Any

from distbelief.coordinator.training.restarts import Restarts


def test_what_was_started_again_is_noted_at_the_next_check() -> None:
    said: list[str] = []
    noted: list[Any] = []
    restarts = Restarts(said.append)
    check = restarts.noting(lambda: None, lambda kind, **fields: noted.append((kind, fields)))
    restarts.say("worker ended with exit code -9: started again")
    restarts.say("the servers do not start with the native engine: no module")
    assert len(said) == 2
    assert noted == []
    check()
    check()
    assert noted == [("restarted", {"what": "worker ended with exit code -9: started again"})]
