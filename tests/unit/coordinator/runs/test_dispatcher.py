"""A unit gets another message when the last one came to nothing, and only then."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.broker.messages import Arguments
from distbelief.app.errors import DataLost, ModelMissing, WaitTimeout, WorkerMismatch, WorkFailed
from distbelief.app.runs.ledger import Ledger, LedgerUnit, UnitState
from distbelief.coordinator.progress.status import Outstanding
from distbelief.coordinator.runs import dispatch
from distbelief.coordinator.runs.dispatch import LOOK_S, SILENT_S, TAKEN_S, Dispatcher

LEASE_S = 10.0
STALL_S = 100.0
FENCE = 4
OPEN = LedgerUnit(UnitState.OPEN, 0, 0, "", None, {})
LEASED = LedgerUnit(UnitState.LEASED, 1, 5, "17@host/abc", 5.0, {})
EXPIRED = replace(LEASED, remaining_s=-0.1)
DONE = LedgerUnit(UnitState.DONE, 1, 5, "17@host/abc", None, {"steps": 3})
FAILURE = {"error": "ValueError: no", "traceback": "Traceback: here", "worker": "17@host"}
FAILED = LedgerUnit(UnitState.FAILED, 1, 5, "17@host/abc", None, FAILURE)
GIVEN_BACK = LedgerUnit(UnitState.OPEN, 0, 5, "17@host/abc", None, {})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class PaperLedger:
    """A ledger on paper: tests write down how units stand."""

    def __init__(self) -> None:
        self.units: dict[str, LedgerUnit] = {}
        self.specifications: dict[str, Any] = {}
        self.forgotten: list[str] = []
        self.reads: list[list[str]] = []
        #: Units that wake-ups tell of: all, unless a test says which.
        self.told: set[str] | None = None

    def submit(self, unit: str, specification: Any, lease_s: float, fence: int) -> None:
        self.units[unit] = OPEN
        self.specifications[unit] = (specification, lease_s, fence)

    def wait(self, timeout_s: float) -> set[str]:
        told = set(self.units) if self.told is None else self.told
        self.told = None if self.told is None else set()
        return told

    def read(self, units: list[str]) -> dict[str, LedgerUnit]:
        self.reads.append(units)
        return {unit: self.units[unit] for unit in units if unit in self.units}

    def forget(self, units: list[str]) -> None:
        self.forgotten += units


class Office:
    """A dispatcher with everything around it."""

    def __init__(self, clock: Clock, max_tries: int = 3, resent: int = 0) -> None:
        self.clock = clock
        self.ledger = PaperLedger()
        self.sent: list[tuple[str, str]] = []
        self.attempts: list[int] = []
        self.queue: set[Arguments] = set()
        self.looks = 0
        self.dispatcher = Dispatcher(
            cast("Ledger", self.ledger),
            self.send,
            self.look,
            fence=FENCE,
            lease_s=LEASE_S,
            max_tries=max_tries,
            stall_s=STALL_S,
            resent=resent,
        )

    def send(self, task: str, unit: str, attempt: int) -> None:
        self.sent.append((task, unit))
        self.attempts.append(attempt)

    def look(self, task: str) -> set[Arguments]:
        self.looks += 1
        return self.queue

    def messages_after(self, unit: LedgerUnit, seconds: float) -> int:
        """How many messages unit u has got when it stands like this after so long."""
        self.dispatcher.submit("downpour", "u", {})
        self.ledger.units["u"] = unit
        self.clock.now += seconds
        self.dispatcher.collect(0)
        return len(self.sent)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def office(clock: Clock) -> Office:
    return Office(clock)


def test_a_unit_is_entered_before_its_message_is_sent(office: Office) -> None:
    entered_before: list[bool] = []
    office.dispatcher._send = lambda task, unit, attempt: entered_before.append(
        unit in office.ledger.units
    )
    office.dispatcher.submit("downpour", "u", {"stop": 4})
    assert entered_before == [True]
    assert office.ledger.specifications["u"] == ({"stop": 4}, LEASE_S, FENCE)


def test_what_was_sent_again_is_counted_on_from_earlier_fences(clock: Clock) -> None:
    assert Office(clock).dispatcher.resent == 0
    office = Office(clock, resent=6)
    assert office.messages_after(EXPIRED, LEASE_S + 1) == 2
    assert office.dispatcher.resent == 7


def test_a_worker_with_other_code_ends_the_run_at_its_first_attempt(office: Office) -> None:
    refused = replace(FAILED, tries=1, report={**FAILURE, "error": "no", "mismatch": True})
    with pytest.raises(WorkerMismatch, match=r"^no$"):
        office.messages_after(refused, 0)
    assert len(office.sent) == 1


def test_a_worker_that_misses_data_leaves_them_to_the_coordinator_at_once(office: Office) -> None:
    lost = replace(FAILED, tries=1, report={**FAILURE, "error": "shard 1 is older", "lost": True})
    with pytest.raises(DataLost, match=r"^shard 1 is older$"):
        office.messages_after(lost, 0)
    assert len(office.sent) == 1


def test_a_message_names_its_task_and_its_unit(office: Office) -> None:
    office.dispatcher.submit("evaluation", "u", {})
    assert office.sent == [("evaluation", "u")]


def test_a_message_says_which_attempt_it_asks_for(office: Office) -> None:
    assert office.messages_after(EXPIRED, LEASE_S + 1) == 2
    assert office.attempts == [1, EXPIRED.attempt + 1]


def test_a_finished_unit_is_collected_once_and_forgotten(office: Office) -> None:
    office.dispatcher.submit("downpour", "u", {})
    office.ledger.units["u"] = DONE
    (finished,) = office.dispatcher.collect(0)
    assert (finished.unit, finished.report) == ("u", {"steps": 3})
    assert office.ledger.forgotten == ["u"]
    assert office.dispatcher.collect(0) == []
    assert len(office.dispatcher) == 0


def test_a_worker_is_at_work_while_it_holds_units_and_a_moment_longer(office: Office) -> None:
    office.messages_after(OPEN, 1.0)
    assert office.dispatcher.workers == 0
    office.ledger.units["u"] = LEASED
    office.dispatcher.collect(0)
    assert office.dispatcher.workers == 1
    office.ledger.units["u"] = DONE
    office.dispatcher.collect(0)
    office.clock.now += SILENT_S
    assert office.dispatcher.workers == 1
    office.clock.now += 0.1
    assert office.dispatcher.workers == 0


def test_processes_at_work_are_counted_by_name(office: Office) -> None:
    for unit, owner in {"u": "17@host/a", "v": "17@host/b", "w": "18@host/c"}.items():
        office.dispatcher.submit("downpour", unit, {})
        office.ledger.units[unit] = replace(LEASED, owner=owner)
    office.dispatcher.collect(0)
    assert office.dispatcher.workers == 2


def test_a_message_that_waits_for_a_busy_worker_is_not_repeated(office: Office) -> None:
    office.queue = {("u",)}
    assert office.messages_after(OPEN, 2 * LEASE_S) == 1


def test_a_message_that_left_the_queue_and_began_nothing_is_repeated(office: Office) -> None:
    assert office.messages_after(OPEN, 1.1 * TAKEN_S) == 2
    assert office.dispatcher.resent == 1


def test_a_lost_message_is_repeated_while_others_wait(office: Office) -> None:
    office.queue = {("v",), ("w",)}
    assert office.messages_after(OPEN, 1.1 * TAKEN_S) == 2


def test_a_message_that_just_left_the_queue_gets_its_time(office: Office) -> None:
    assert office.messages_after(OPEN, 0.9 * TAKEN_S) == 1
    office.clock.now += 0.2 * TAKEN_S
    office.queue = {("u",)}
    office.dispatcher.collect(0)
    office.queue = set()
    office.clock.now += 0.9 * TAKEN_S
    office.dispatcher.collect(0)
    assert len(office.sent) == 1
    office.clock.now += 0.2 * TAKEN_S
    office.dispatcher.collect(0)
    assert len(office.sent) == 2


def test_the_queue_is_looked_at_now_and_then_however_many_units_wait(office: Office) -> None:
    units = [f"u{i}" for i in range(50)]
    for unit in units:
        office.dispatcher.submit("downpour", unit, {})
    office.queue = {(unit,) for unit in units}
    for _ in range(10):
        office.clock.now += 0.6 * TAKEN_S
        office.dispatcher.collect(0)
    assert office.looks == 5
    assert len(office.sent) == 50


def test_a_unit_under_a_live_lease_is_left_alone(office: Office) -> None:
    assert office.messages_after(LEASED, 5 * LEASE_S) == 1


def test_a_unit_whose_lease_ran_out_is_sent_again(office: Office) -> None:
    assert office.messages_after(EXPIRED, 1.1 * LEASE_S) == 2


def test_a_lease_that_ran_out_is_answered_once(office: Office) -> None:
    office.messages_after(EXPIRED, 1.1 * LEASE_S)
    office.queue = {("u",)}
    office.clock.now += 5 * LEASE_S
    office.dispatcher.collect(0)
    assert len(office.sent) == 2


def test_a_failed_unit_is_sent_again_at_once(office: Office) -> None:
    assert office.messages_after(FAILED, 0) == 2


def test_a_failure_is_answered_once(office: Office) -> None:
    office.messages_after(FAILED, 0)
    office.dispatcher.collect(0)
    assert len(office.sent) == 2


def test_a_unit_that_was_given_back_is_sent_again_at_once(office: Office) -> None:
    assert office.messages_after(GIVEN_BACK, 0) == 2


def test_a_unit_that_was_given_back_is_sent_again_once(office: Office) -> None:
    office.messages_after(GIVEN_BACK, 0)
    office.dispatcher.collect(0)
    assert len(office.sent) == 2


def test_a_unit_that_is_given_back_however_often_is_sent_again(office: Office) -> None:
    office.dispatcher.submit("downpour", "u", {})
    for attempt in range(1, 11):
        office.ledger.units["u"] = replace(GIVEN_BACK, attempt=attempt)
        office.dispatcher.collect(0)
    assert len(office.sent) == 11


def test_a_failure_after_a_unit_was_given_back_is_answered_at_once(office: Office) -> None:
    office.messages_after(GIVEN_BACK, 0)
    office.ledger.units["u"] = replace(FAILED, attempt=6)
    office.dispatcher.collect(0)
    assert len(office.sent) == 3


def test_a_unit_that_keeps_failing_ends_the_run_with_its_own_words(office: Office) -> None:
    with pytest.raises(WorkFailed) as failed:
        office.messages_after(replace(FAILED, tries=3), 0)
    message = str(failed.value)
    assert message.startswith("unit u failed 3 times, last on worker 17@host: ValueError: no")
    assert message.count("Traceback") == 1
    assert len(office.sent) == 1


def test_an_error_of_ours_ends_the_run_without_a_traceback(office: Office) -> None:
    report = {**FAILURE, "error": "the data differ", "traceback": ""}
    with pytest.raises(WorkFailed, match=r"the data differ$"):
        office.messages_after(replace(FAILED, tries=3, report=report), 0)


def test_a_unit_that_keeps_losing_its_worker_ends_the_run(office: Office) -> None:
    with pytest.raises(
        WorkFailed, match="lost its worker 3 times and got no further, last 17@host: "
    ):
        office.messages_after(replace(EXPIRED, tries=3), 2 * LEASE_S)


def lose_workers(office: Office, made: Iterable[int]) -> None:
    """Have a unit lose workers, one after another, when it had got as far as ``made`` says."""
    reached = iter(made)
    office.dispatcher.submit("downpour", "u", {}, lambda: next(reached))
    for tries in itertools.count(1):
        office.ledger.units["u"] = replace(EXPIRED, tries=tries, attempt=tries)
        office.dispatcher.collect(0)


def test_a_unit_that_gets_further_each_time_may_lose_any_number_of_workers(office: Office) -> None:
    with pytest.raises(StopIteration):
        lose_workers(office, range(1, 31))
    assert len(office.sent) == 1 + 30


def test_a_unit_that_loses_workers_at_one_place_ends_the_run(office: Office) -> None:
    with pytest.raises(WorkFailed, match="unit u lost its worker 3 times and got no further"):
        lose_workers(office, [0, 4, 4, 4, 4])
    assert len(office.sent) == 1 + 4


def test_failures_count_however_far_a_unit_gets_between_them(office: Office) -> None:
    office.dispatcher.submit("downpour", "u", {}, itertools.count(1).__next__)
    for tries, unit in enumerate((FAILED, EXPIRED, FAILED, EXPIRED), start=1):
        office.ledger.units["u"] = replace(unit, tries=tries, attempt=tries)
        office.dispatcher.collect(0)
    office.ledger.units["u"] = replace(FAILED, tries=5, attempt=5)
    with pytest.raises(WorkFailed, match="unit u failed 3 times"):
        office.dispatcher.collect(0)


def test_only_units_that_wake_ups_name_are_read_until_it_is_time_to_look_at_all(
    office: Office,
) -> None:
    units = {f"u{index}" for index in range(5)}
    for unit in sorted(units):
        office.dispatcher.submit("downpour", unit, {})
    office.dispatcher.collect(0)
    office.ledger.told = {"u3", "of somebody else"}
    office.ledger.units["u3"] = office.ledger.units["u4"] = DONE
    office.clock.now += 0.9 * LOOK_S
    assert [each.unit for each in office.dispatcher.collect(0)] == ["u3"]
    assert office.dispatcher.collect(0) == []
    office.clock.now += 0.2 * LOOK_S
    assert [each.unit for each in office.dispatcher.collect(0)] == ["u4"]
    assert [set(each) for each in office.ledger.reads] == [units, {"u3"}, set(), units - {"u3"}]


def test_a_failing_unit_is_tried_as_often_as_allowed(clock: Clock) -> None:
    office = Office(clock, max_tries=4)
    office.dispatcher.submit("downpour", "u", {})
    for tries in (1, 2, 3):
        office.ledger.units["u"] = replace(FAILED, tries=tries, attempt=tries)
        office.dispatcher.collect(0)
    assert len(office.sent) == 4
    office.ledger.units["u"] = replace(FAILED, tries=4, attempt=4)
    with pytest.raises(WorkFailed, match="failed 4 times"):
        office.dispatcher.collect(0)


def test_an_abandoned_unit_is_not_followed_and_cannot_begin(office: Office) -> None:
    office.dispatcher.submit("downpour", "u", {})
    office.dispatcher.abandon(["u"])
    office.ledger.units["u"] = DONE
    assert office.dispatcher.collect(0) == []
    assert office.ledger.forgotten == ["u"]


def test_a_unit_that_the_control_server_lost_is_named(office: Office) -> None:
    office.dispatcher.submit("downpour", "u", {})
    del office.ledger.units["u"]
    with pytest.raises(ModelMissing, match="lost unit u"):
        office.dispatcher.collect(0)


def test_units_that_nobody_works_on_for_too_long_end_the_run(office: Office) -> None:
    office.queue = {("u",)}
    with pytest.raises(
        WaitTimeout, match=r"no worker .* on u for 100 s.*celery -A distbelief worker"
    ):
        office.messages_after(OPEN, 1.1 * STALL_S)


def test_time_without_any_unit_is_no_stall(office: Office) -> None:
    office.messages_after(DONE, 0)
    office.clock.now += 10 * STALL_S
    assert office.dispatcher.idle_s == 0
    office.dispatcher.submit("downpour", "next", {})
    assert office.dispatcher.collect(0) == []


def test_the_oldest_unit_is_known_with_its_age_and_its_worker(office: Office) -> None:
    assert office.dispatcher.oldest is None
    office.messages_after(OPEN, 1)
    assert office.dispatcher.oldest == Outstanding("unit u", 1.0, "")
    office.dispatcher.submit("downpour", "younger", {})
    office.ledger.units["u"] = LEASED
    office.clock.now += 40
    office.dispatcher.collect(0)
    assert office.dispatcher.oldest == Outstanding("unit u", 41.0, "17@host")
    office.ledger.units["u"] = EXPIRED
    office.dispatcher.collect(0)
    assert office.dispatcher.oldest == Outstanding("unit u", 41.0, "")
    office.ledger.units["u"] = DONE
    office.dispatcher.collect(0)
    assert office.dispatcher.oldest == Outstanding("unit younger", 40.0, "")


def test_a_worker_at_work_ends_the_wait(office: Office) -> None:
    office.messages_after(LEASED, 5 * STALL_S)
    assert office.dispatcher.idle_s == 0
    office.clock.now += 7
    assert office.dispatcher.idle_s == 7
