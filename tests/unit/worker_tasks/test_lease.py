"""Working under a lease: done once, reported once, and given up when somebody else has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from distbelief.app.errors import DataError, Fenced, ServerUnreachable, ShardBehind
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.worker_tasks import shutdown
from distbelief.worker_tasks.lease import Lease, work

DEADLINE_S = 60.0
SHORT_S = 0.03


class OneUnit:
    """A ledger with one unit; it notes what it is told."""

    def __init__(self, *renewals: bool | Exception, free: bool = True) -> None:
        self.free = free
        self.run = "run\x1b[2J"
        self.known = True
        self.renewals = list(renewals)
        self.renewed = threading.Event()
        self.reports: list[tuple[UnitState, dict[str, Any]]] = []
        self.reportable = True
        self.released: list[Claim] = []

    def claim(self, unit: str, claimer: str) -> Claim | None:
        return Claim(unit, 1, 1, SHORT_S, {"stop": 5}) if self.free else None

    def knows_run(self) -> bool:
        return self.known

    def renew(self, claim: Claim) -> bool:
        answer = self.renewals.pop(0) if self.renewals else True
        if not self.renewals:
            self.renewed.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def finish(self, claim: Claim, state: UnitState, report: dict[str, Any]) -> bool:
        self.reports.append((state, report))
        return self.reportable

    def release(self, claim: Claim) -> bool:
        self.released.append(claim)
        return self.reportable


@pytest.fixture(autouse=True)
def _running() -> Iterator[None]:
    """This process's worker has not been told to end, neither before a test nor after it."""
    shutdown.forget()
    yield
    shutdown.forget()


def do_work(ledger: OneUnit, do: Any) -> str:
    return work(cast("Ledger", ledger), "unit", do)


def test_a_unit_is_done_and_reported() -> None:
    ledger = OneUnit()
    assert do_work(ledger, lambda lease: lease.claim.specification) == "done"
    assert ledger.reports == [(UnitState.DONE, {"stop": 5})]


def test_a_unit_that_cannot_be_claimed_is_left_alone() -> None:
    ledger = OneUnit(free=False)
    calls: list[Lease] = []
    assert do_work(ledger, calls.append) == "nothing to do"
    assert (calls, ledger.reports) == ([], [])


def test_a_message_for_a_run_that_nobody_knows_is_refused_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = OneUnit(free=False)
    ledger.known = False
    assert do_work(ledger, lambda lease: {}) == "refused"
    assert r"a message for run run\x1b[2J was refused, which the control server" in caplog.text


def test_a_report_that_comes_too_late_counts_for_nothing() -> None:
    ledger = OneUnit()
    ledger.reportable = False
    assert do_work(ledger, lambda lease: {}) == "fenced"


def test_being_shut_out_is_no_failure() -> None:
    def shut_out(lease: Lease) -> dict[str, Any]:
        raise Fenced("somebody else works on it")

    ledger = OneUnit()
    assert do_work(ledger, shut_out) == "fenced"
    assert ledger.reports == []


def test_data_that_a_shard_lost_are_reported_for_the_coordinator_to_mend() -> None:
    def miss(lease: Lease) -> dict[str, Any]:
        raise ShardBehind("shard 1 lacks 3 pushes")

    ledger = OneUnit()
    assert do_work(ledger, miss) == "data lost"
    ((state, report),) = ledger.reports
    assert state is UnitState.FAILED
    assert (report["error"], report["lost"]) == ("shard 1 lacks 3 pushes", True)
    ledger.reportable = False  # somebody else has the unit by now
    assert do_work(ledger, miss) == "fenced"


def test_what_a_users_model_raises_is_reported_with_its_traceback() -> None:
    def divide(lease: Lease) -> dict[str, Any]:
        return {"quotient": 1 / 0}

    ledger = OneUnit()
    with pytest.raises(ZeroDivisionError):
        do_work(ledger, divide)
    ((state, report),) = ledger.reports
    assert state is UnitState.FAILED
    assert report["error"] == "ZeroDivisionError: division by zero"
    assert "in divide" in report["traceback"]
    assert "@" in report["worker"]


def test_our_own_errors_are_reported_as_one_sentence() -> None:
    def refuse(lease: Lease) -> dict[str, Any]:
        raise DataError("the file is gone")

    ledger = OneUnit()
    with pytest.raises(DataError):
        do_work(ledger, refuse)
    ((_, report),) = ledger.reports
    assert (report["error"], report["traceback"]) == ("the file is gone", "")


def test_a_lost_lease_stops_the_work_at_its_next_check() -> None:
    def until_lost(lease: Lease) -> dict[str, Any]:
        assert lease.lost.wait(DEADLINE_S)
        lease.check()
        return {}

    ledger = OneUnit(True, False)
    assert do_work(ledger, until_lost) == "fenced"
    assert ledger.reports == []


def test_a_renewal_that_meets_a_silent_server_does_not_give_the_lease_up() -> None:
    ledger = OneUnit(ServerUnreachable("no answer"), True)

    def until_renewed(lease: Lease) -> dict[str, Any]:
        assert ledger.renewed.wait(DEADLINE_S)
        lease.check()
        return {}

    assert do_work(ledger, until_renewed) == "done"


def ended_at_step(step: int, ledger: OneUnit) -> tuple[str, int]:
    """The outcome, and the steps taken, when the worker is told to end in this step."""
    steps = 0

    def in_steps(lease: Lease) -> dict[str, Any]:
        nonlocal steps
        for _ in range(5):
            lease.check()
            steps += 1
            if steps == step:
                shutdown.end()
        return {}

    return do_work(ledger, in_steps), steps


def test_a_worker_that_is_told_to_end_gives_its_unit_back_after_the_step() -> None:
    ledger = OneUnit()
    assert ended_at_step(3, ledger) == ("handed over", 3)
    assert ledger.reports == []
    assert len(ledger.released) == 1


def test_a_worker_that_is_told_to_end_reports_what_it_has_finished() -> None:
    ledger = OneUnit()
    assert ended_at_step(5, ledger) == ("done", 5)
    assert (len(ledger.reports), ledger.released) == (1, [])


def test_a_worker_that_has_been_told_to_end_begins_nothing() -> None:
    ledger = OneUnit()
    shutdown.end()
    assert ended_at_step(1, ledger) == ("handed over", 0)
    assert len(ledger.released) == 1


def test_a_unit_that_somebody_else_has_by_now_is_not_handed_over() -> None:
    ledger = OneUnit()
    ledger.reportable = False
    assert ended_at_step(3, ledger) == ("fenced", 3)


def test_a_worker_that_is_told_to_end_with_its_lease_lost_gives_nothing_back() -> None:
    def until_lost(lease: Lease) -> dict[str, Any]:
        assert lease.lost.wait(DEADLINE_S)
        shutdown.end()
        lease.check()
        return {}

    ledger = OneUnit(False)
    assert do_work(ledger, until_lost) == "fenced"
    assert ledger.released == []


def test_renewals_end_with_the_work() -> None:
    ledger = OneUnit()
    do_work(ledger, lambda lease: {})
    for thread in threading.enumerate():
        if thread.name == "lease":
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
