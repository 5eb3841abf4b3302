"""What becomes of each dispatch of a portion is told, and the journal stays bounded."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.runs.batch import Report
from distbelief.coordinator.sandblaster import batch
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.dispatch_log import DispatchLog
from distbelief.coordinator.sandblaster.portion_count import Cut


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def answer(portion: int, dispatch: int, worker: str, seconds: float, error: str = "") -> Report:
    return Report(1, 1, portion, dispatch, worker, seconds=seconds, error=error)


def test_every_fate_is_told_with_its_worker_and_its_seconds() -> None:
    clock = Clock()
    dispatches = DispatchLog(clock)
    for portion in range(3):
        dispatches.note_sent(portion, 0)
    clock.now = 11.0
    dispatches.note_sent(1, 1)
    dispatches.note_answer(answer(0, 0, "b@here", 0.25), won=True)
    clock.now = 12.0
    dispatches.note_answer(answer(1, 1, "a@here", 0.5), won=True)
    dispatches.note_answer(answer(1, 0, "b@here", 1.5), won=False)
    dispatches.note_answer(answer(2, 0, "a@here", 0.0, "out of memory"), won=False)
    dispatches.note_sent(2, 1)
    clock.now = 13.0
    assert dispatches.document() == {
        "seconds": 3.0,
        "workers": ["a@here", "b@here"],
        "dispatches": [
            [0, 0, 1, 0.0, 0.75, 1.0, "won"],
            [1, 0, 1, 0.0, 0.5, 2.0, "lost"],
            [2, 0, 0, 0.0, 2.0, 2.0, "failed"],
            [1, 1, 0, 1.0, 1.5, 2.0, "won"],
            [2, 1, -1, 2.0, None, None, "unanswered"],
        ],
    }


def test_a_worker_whose_seconds_are_too_many_began_when_it_was_sent() -> None:
    clock = Clock()
    dispatches = DispatchLog(clock)
    dispatches.note_sent(0, 0)
    clock.now = 11.0
    dispatches.note_answer(answer(0, 0, "w", 5.0), won=True)
    assert dispatches.document()["dispatches"] == [[0, 0, 0, 0.0, 0.0, 1.0, "won"]]


def test_an_answer_that_comes_twice_or_to_nothing_sent_here_changes_nothing() -> None:
    clock = Clock()
    dispatches = DispatchLog(clock)
    dispatches.note_sent(0, 0)
    dispatches.note_answer(answer(0, 0, "w", 0.0), won=True)
    before = dispatches.document()
    dispatches.note_answer(answer(0, 0, "v", 0.0), won=False)
    dispatches.note_answer(answer(7, 0, "v", 0.0), won=False)
    assert dispatches.document() == before


def test_a_long_run_tells_only_of_evaluations_with_portions_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "MOST_TOLD", 3)
    told: list[int] = []
    nobody = cast("Any", None)
    session = SimpleNamespace(note=lambda kind, evaluation, **_: told.append(evaluation))
    sums = BatchEvaluator(cast("Any", session), nobody, Cut(2, 2, math.inf), 1, lambda: None)
    for number, sent in enumerate([[(0, 0), (1, 0)], [(0, 0), (1, 0)], [(0, 0), (0, 1)]]):
        sums.number = number
        sums._dispatches = DispatchLog(Clock())
        for portion, dispatch in sent:
            sums._dispatches.note_sent(portion, dispatch)
        sums._tell_dispatches()
    assert told == [0, 2]
