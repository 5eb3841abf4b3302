"""A portion that nobody has is looked for: seldom, on a clock that the test turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.broker.messages import Arguments
from distbelief.app.errors import ServerUnreachable, WaitTimeout, WorkFailed
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.runs.batch import News, Report
from distbelief.app.runs.offers import Offer
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import batch, desk
from distbelief.coordinator.sandblaster.batch import (
    ASK_AFTER_S,
    ASK_EVERY_S,
    LOST_S,
    SILENT_S,
    BatchEvaluator,
)
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.portion_count import Cut

LAYOUT = Layout.plan([TensorSpec("w", (6,))], n_servers=1, block_numbers=3)
ATTEMPTS = 3
TICK_S, ANSWER_S = 0.25, 1.0


FENCE = 3

#: Training examples, of which each can be a portion.
MOST = 100


class Fleet:
    """A session whose workers answer all portions but those in ``lost``.

    ``active_tasks`` and ``queue`` are where portions are found when somebody looks: with a worker,
    each in a shift of its own, or with nobody yet.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.config = RunConfig(algorithm="sandblaster", unit_attempts=ATTEMPTS)
        self.control = None
        self.record = SimpleNamespace(run="run")
        self.messages = self
        self.sent: list[Arguments] = []
        self.lost: set[Arguments] = set()
        self.queue: set[Arguments] = set()
        self.active_tasks: dict[Arguments, str] | Exception | None = {}
        self.asked: list[float] = []
        self._store = MemoryVectorStore(LAYOUT, fence=FENCE)
        self._store.create(np.zeros(LAYOUT.size))
        for module in (batch, desk):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("distbelief.app.runs.batch.announce", self._announce)
        monkeypatch.setattr("distbelief.app.runs.batch.collect", self._collect)
        monkeypatch.setattr("distbelief.app.runs.offers.offering", self._offer)
        monkeypatch.setattr("distbelief.app.runs.offers.find", self._find)
        self._news: list[News] = []
        self.shifts: list[int] = []
        self._unread: list[Arguments] = []
        #: What all portions take together, and those of which one dispatch is cut short.
        self.work_s = 0.0
        self.cut: set[Arguments] = set()
        self.told: list[tuple[str, Any]] = []

    @property
    def first(self) -> list[Arguments]:
        """What was sent in the first evaluation; the second has a quantum, and is the same."""
        return [each for each in self.sent if each[0] == 1]

    fence = FENCE

    def note(self, kind: str, **fields: Any) -> None:
        pass

    def tell(self, kind: str, **fields: Any) -> None:
        self.told.append((kind, fields["portions"]))

    def _announce(self, _: Any, run: str, evaluation: Any) -> None:
        self.n_portions = evaluation.portions

    def send_shift(self) -> int:
        self.shifts.append(len(self.shifts))
        return self.shifts[-1]

    def _offer(self, run: str, fence: int, bundles: Iterable[Sequence[Offer]]) -> Sequence[Any]:
        for portion in (tuple(each) for bundle in bundles for each in bundle):
            self.sent.append(portion)
            if portion not in self.lost:
                self._unread.append(portion)
        return ()

    def _find(self, _: Any, run: str, fence: int, shifts: Iterable[int]) -> dict[Offer, int | None]:
        waiting: dict[Offer, int | None] = {Offer(*map(int, each)): None for each in self.queue}
        there = self.active_tasks if isinstance(self.active_tasks, dict) else {}
        taken = {Offer(*map(int, each)): shift for shift, each in enumerate(there)}
        return {**waiting, **{each: shift for each, shift in taken.items() if shift in {*shifts}}}

    def waiting(self, task: str) -> set[Arguments]:
        return {(FENCE, shift) for shift in self.shifts}

    def calls(self, task: str, run: str, *, begun: bool) -> dict[Arguments, str] | None:
        self.asked.append(self.now)
        self.now += ANSWER_S
        if isinstance(self.active_tasks, Exception):
            raise self.active_tasks
        if self.active_tasks is None:
            return None
        return {(FENCE, shift): worker for shift, worker in enumerate(self.active_tasks.values())}

    def _collect(self, *_: Any) -> Sequence[News]:
        self.now += TICK_S
        unread, self._unread = self._unread, []
        news, self._news = self._news, []
        return [*news, *(self._answer(*portion) for portion in unread)]

    def _answer(self, *portion: Any) -> Report:
        evaluation, number, dispatch = portion
        took_s = self.work_s / self.n_portions
        if portion in self.cut:
            cut: dict[str, Any] = {"error": "others wait", "cut": True, "computing_s": took_s}
            return Report(FENCE, evaluation, number, dispatch, "here", **cut)
        share = np.ones(LAYOUT.size)
        self._store.accumulate(FENCE, evaluation, "vec:g", number, share)
        done: dict[str, Any] = {"loss": 1.0, "largest": 1.0, "computing_s": took_s}
        return Report(FENCE, evaluation, number, dispatch, "here", **done)

    def batch(
        self, turn: Callable[[], None], n_portions: int = 1, limit_s: float = math.inf
    ) -> BatchEvaluator:
        cut = Cut(n_portions, MOST, limit_s)
        return BatchEvaluator(cast("Session", self), self._store, cut, 1, turn)


class Enough(Exception):
    """The test has seen enough."""


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(monkeypatch)


def watched(fleet: Fleet, seconds: float) -> BatchEvaluator:
    """A batch of one portion whose answer does not come, after ``seconds``."""
    fleet.lost = {(1, 0, 0)}
    began = fleet.now

    def turn() -> None:
        if fleet.now - began > seconds:
            raise Enough

    evaluated = fleet.batch(turn)
    with pytest.raises(Enough):
        evaluated.evaluate(Evaluate("x", "g"))
    return evaluated


def test_a_lost_portion_is_sent_again_in_seconds(fleet: Fleet) -> None:
    fleet.lost, began = {(1, 0, 0)}, fleet.now
    evaluated = fleet.batch(lambda: None)
    assert evaluated.evaluate(Evaluate("x", "g")) == 1.0
    assert fleet.first == [(1, 0, 0), (1, 0, 1)]
    assert fleet.now - began < ASK_AFTER_S + 2 * ANSWER_S + 8 * TICK_S < LOST_S / 8
    assert evaluated.tally.retries == 1


def test_a_portion_that_is_lost_every_time_ends_the_run_by_name(fleet: Fleet) -> None:
    fleet.lost, began = {(1, 0, dispatch) for dispatch in range(10)}, fleet.now
    with pytest.raises(WorkFailed, match=r"portion 0 failed 3 times: .*out of memory, or crash"):
        fleet.batch(lambda: None).evaluate(Evaluate("x", "g"))
    assert len(fleet.first) == ATTEMPTS
    assert fleet.now - began < LOST_S / 2


def test_a_healthy_batch_asks_nobody(fleet: Fleet) -> None:
    assert fleet.batch(lambda: None, n_portions=50).evaluate(Evaluate("x", "g")) == 50.0
    assert fleet.asked == []


def test_a_worker_that_answered_is_at_work_for_a_moment(fleet: Fleet) -> None:
    done = fleet.batch(lambda: None)
    assert done.n_live == 0
    done.evaluate(Evaluate("x", "g"))
    assert done.n_live == 1
    fleet.now += SILENT_S + 0.1
    assert done.n_live == 0


def test_a_worker_that_says_that_it_computes_is_at_work(fleet: Fleet) -> None:
    fleet.active_tasks = {(1, 0, 0): "first@host"}
    assert watched(fleet, 50.0).n_live == 1


def test_nobody_is_at_work_on_what_waits_in_the_queue(fleet: Fleet) -> None:
    fleet.queue = {(1, 0, 0)}
    assert watched(fleet, 50.0).n_live == 0


def test_a_portion_that_a_worker_has_is_left_to_it_and_seldom_asked_for(fleet: Fleet) -> None:
    fleet.active_tasks = {(1, 0, 0): "first@host"}
    evaluated = watched(fleet, 50.0)
    assert fleet.first == [(1, 0, 0)]
    assert len(fleet.asked) <= 50 / ASK_EVERY_S
    slowest = evaluated.slowest
    assert slowest is not None
    assert (slowest.name, slowest.worker) == ("portion 0", "first@host")
    assert 50 < slowest.seconds < 52


def test_a_portion_that_waits_in_the_queue_is_left_there(fleet: Fleet) -> None:
    fleet.queue = {(1, 0, 0)}
    watched(fleet, 50.0)
    assert fleet.first == [(1, 0, 0)]


def test_a_portion_of_an_earlier_evaluation_is_another_portion(fleet: Fleet) -> None:
    fleet.active_tasks = {(0, 0, 0): "first@host"}
    fleet.queue = {(7, 0, 0)}
    fleet.lost, began = {(1, 0, 0)}, fleet.now
    fleet.batch(lambda: None).evaluate(Evaluate("x", "g"))
    assert fleet.first == [(1, 0, 0), (1, 0, 1)]
    assert fleet.now - began < LOST_S


@pytest.mark.parametrize("answer", [None, ServerUnreachable("no broker")])
def test_silence_is_no_answer(fleet: Fleet, answer: Any) -> None:
    fleet.active_tasks = answer
    watched(fleet, 50.0)
    assert fleet.first == [(1, 0, 0)]
    assert 1 < len(fleet.asked) <= 50 / ASK_EVERY_S


def test_a_portion_that_answers_while_workers_are_asked_is_not_sent_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.lost = {(1, 0, 0)}

    def calls(task: str, run: str, *, begun: bool) -> dict[Arguments, str]:
        fleet.asked.append(fleet.now)
        if len(fleet.asked) == 2:  # it was being taken at the first, and is done at the second
            fleet._unread.append((1, 0, 0))
        return {}

    monkeypatch.setattr(fleet, "calls", calls)
    assert fleet.batch(lambda: None).evaluate(Evaluate("x", "g")) == 1.0
    assert len(fleet.asked) == 2
    assert fleet.first == [(1, 0, 0)]


# --- nobody answers, though somebody seems to be at work


def stalled(fleet: Fleet, seconds: float, dispatches: Callable[[], int]) -> None:
    """A portion whose answer does not come; workers say that they are at this dispatch of it."""
    fleet.config = RunConfig(algorithm="sandblaster", unit_attempts=1000, stall_seconds=STALL_S)
    fleet.lost = {(1, 0, dispatch) for dispatch in range(1000)}
    began = fleet.now

    def turn() -> None:
        fleet.active_tasks = {(1, 0, dispatches()): "worker"}
        evaluator.check_stall()
        if fleet.now - began > seconds:
            raise Enough

    evaluator = fleet.batch(turn)
    evaluator.evaluate(Evaluate("x", "g"))


STALL_S = 20.0


def test_a_portion_that_takes_very_long_is_no_stall(fleet: Fleet) -> None:
    with pytest.raises(Enough):
        stalled(fleet, 10 * STALL_S, lambda: 0)


def test_workers_that_take_portions_and_never_answer_are_a_stall(fleet: Fleet) -> None:
    numbers, began = count(), fleet.now
    with pytest.raises(WaitTimeout, match="no worker has been at work on evaluation 1 for"):
        stalled(fleet, 10 * STALL_S, lambda: next(numbers))
    assert fleet.now - began < 3 * STALL_S


def test_workers_at_another_evaluation_are_a_stall(fleet: Fleet) -> None:
    fleet.lost = {(1, 0, dispatch) for dispatch in range(1000)}
    fleet.config = RunConfig(algorithm="sandblaster", unit_attempts=1000, stall_seconds=STALL_S)

    def turn() -> None:
        evaluator.check_stall()

    evaluator = fleet.batch(turn)
    fleet.active_tasks = {(0, 0, 0): "worker"}
    began = fleet.now
    with pytest.raises(WaitTimeout):
        evaluator.evaluate(Evaluate("x", "g"))
    assert fleet.now - began < 2 * STALL_S


# --- portions that others would wait for too long


def test_a_batch_whose_portions_are_cut_short_is_begun_again_in_finer_ones(fleet: Fleet) -> None:
    fleet.work_s, fleet.cut = 7.0, {(1, 0, 0)}
    evaluated = fleet.batch(lambda: None, n_portions=2, limit_s=1.0)
    assert evaluated.evaluate(Evaluate("x", "g")) == 8.0  # all portions of the second try, once
    assert fleet.told == [("cut", 8)]
    assert evaluated.to_json()["portions"] == 8


def test_portions_that_cannot_be_cut_short_are_finer_in_the_next_evaluation(fleet: Fleet) -> None:
    fleet.work_s = 7.0
    evaluated = fleet.batch(lambda: None, n_portions=2, limit_s=1.0)
    evaluated.quantum = 2.0**-30  # as after an evaluation before
    assert evaluated.evaluate(Evaluate("x", "g")) == 2.0
    assert evaluated.evaluate(Evaluate("x", "g")) == 8.0
    evaluated.load_state({"evaluation": 3, "quantum": 0.0})  # by a coordinator that cut nothing
    assert evaluated.n_portions == 8


def test_one_whose_process_was_stopped_is_sent_again_as_it_is(fleet: Fleet) -> None:
    fleet.work_s, fleet.cut = 1.0, {(1, 0, 0)}
    evaluated = fleet.batch(lambda: None, n_portions=2, limit_s=1.0)
    assert evaluated.evaluate(Evaluate("x", "g")) == 2.0
    assert fleet.first == [(1, 0, 0), (1, 1, 0), (1, 0, 1)]
    assert fleet.told == []


def test_an_example_is_the_finest_portion() -> None:
    cut = Cut(3, 5, 1.0)
    assert cut.note(1e9)
    assert cut.portions == 5
    assert not cut.note(1e9)
