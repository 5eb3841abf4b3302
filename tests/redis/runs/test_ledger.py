"""The ledger: who may work on what, and what is known afterwards; the events of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control
from distbelief.app.runs import events, leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import Owner, RunState

PATIENCE_S = 60.0
LONG_S, SHORT_S = 60.0, 0.05
FENCE = 1
SPECIFICATION = {"subset": 1, "start": 0, "stop": 20}

T = TypeVar("T")


@pytest.fixture
def servers(control_server: Servers) -> Servers:
    return control_server


@pytest.fixture
def ledger(servers: Servers, record: RunRecord) -> Ledger:
    """Of a run in which one unit waits, with a long lease."""
    assert take(servers, record) == FENCE
    ledger = Ledger(servers, record.run)
    ledger.submit("unit", SPECIFICATION, LONG_S, FENCE)
    return ledger


def take(servers: Servers, record: RunRecord, claimer: str = "me") -> int | Owner:
    """Coordinate a run, whoever does; its new fence."""
    claimant = Claimant(claimer, "here", 1)
    return leadership.lead(servers, record, claimant, LONG_S, take_over=True)


def keys_of(servers: Servers, run: str) -> list[str]:
    """What the control server has of a run."""
    keys = servers.one("KEYS", control(run, "*"))
    return sorted(key.decode().rpartition("}:")[2] for key in keys)


def granted(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def eventually(ask: Callable[[], T | None]) -> T:
    """What ``ask`` answers once it is not None."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def lost_to_another(ledger: Ledger) -> Claim:
    """The first claim on a unit "short" whose lease ran out, and that another has now."""
    ledger.submit("short", SPECIFICATION, SHORT_S, FENCE)
    first = granted(ledger.claim("short", "first"))
    eventually(lambda: ledger.claim("short", "second"))
    return first


# --- claiming


def test_a_waiting_unit_is_granted_with_all_that_its_work_needs(ledger: Ledger) -> None:
    claim = ledger.claim("unit", "me")
    assert claim == Claim("unit", FENCE, 1, LONG_S, SPECIFICATION)


def test_a_held_unit_is_not_granted_to_another(ledger: Ledger) -> None:
    granted(ledger.claim("unit", "me"))
    assert ledger.claim("unit", "you") is None


def test_the_same_claimer_is_granted_the_same_attempt_again(ledger: Ledger) -> None:
    first = granted(ledger.claim("unit", "me"))
    assert ledger.claim("unit", "me") == first
    assert ledger.read(["unit"])["unit"].tries == 1


def test_of_many_claimers_one_is_granted(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda i: ledger.claim("unit", f"claimer {i}"), range(24)))
    assert sum(claim is not None for claim in claims) == 1


def test_a_unit_whose_lease_ran_out_is_granted_with_a_higher_attempt(ledger: Ledger) -> None:
    ledger.submit("short", SPECIFICATION, SHORT_S, FENCE)
    first = granted(ledger.claim("short", "me"))
    second = eventually(lambda: ledger.claim("short", "you"))
    assert second.attempt > first.attempt
    assert ledger.read(["short"])["short"].tries == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_lease_survives_no_jump_of_the_clock_but_is_renewed_after_it(
    ledger: Ledger, servers: Servers, run_id: str, hours: int
) -> None:
    first = granted(ledger.claim("unit", "me"))
    key = control(run_id, "unit:unit")
    servers.one("HINCRBY", key, "expires", -3_600_000 * hours)
    left = ledger.read(["unit"])["unit"].remaining_s
    assert left is not None
    assert left <= 0
    assert ledger.renew(first)
    assert ledger.claim("unit", "you") is None
    servers.one("HINCRBY", key, "expires", -3_600_000 * hours)
    assert granted(ledger.claim("unit", "you")).attempt > first.attempt
    assert not ledger.renew(first)


def test_attempts_grow_over_all_units_of_a_run(ledger: Ledger) -> None:
    for i in range(4):
        ledger.submit(f"unit {i}", SPECIFICATION, LONG_S, FENCE)
    claims = [granted(ledger.claim(f"unit {i}", "me")) for i in range(4)]
    assert [claim.attempt for claim in claims] == [1, 2, 3, 4]


def test_runs_do_not_know_the_units_of_one_another(ledger: Ledger, servers: Servers) -> None:
    assert Ledger(servers, "another run").claim("unit", "me") is None


def test_an_unknown_unit_is_not_granted(ledger: Ledger) -> None:
    assert ledger.claim("unknown", "me") is None


def test_a_unit_that_is_only_half_entered_is_not_granted(
    ledger: Ledger, servers: Servers, run_id: str
) -> None:
    servers.one("HSET", control(run_id, "unit:half"), "specification", "{}", "lease", 1000)
    assert ledger.claim("half", "me") is None
    assert ledger.read(["half"]) == {}


def test_submitting_again_changes_nothing(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    ledger.submit("unit", {"subset": 7}, SHORT_S, FENCE)
    assert ledger.claim("unit", "me") == claim
    assert ledger.finish(claim, UnitState.DONE, {})
    ledger.submit("unit", {"subset": 7}, SHORT_S, FENCE)
    assert ledger.read(["unit"])["unit"].state is UnitState.DONE


# --- renewing


def test_a_renewed_lease_runs_its_full_length_again(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))

    def remaining() -> float:
        left = ledger.read(["unit"])["unit"].remaining_s
        assert left is not None
        return left

    shorter = eventually(lambda: left if (left := remaining()) < LONG_S - 0.02 else None)
    assert ledger.renew(claim)
    assert remaining() > shorter


def test_a_lease_that_another_has_cannot_be_renewed(ledger: Ledger) -> None:
    assert not ledger.renew(lost_to_another(ledger))


def test_a_lease_that_ran_out_unclaimed_can_be_renewed(ledger: Ledger) -> None:
    ledger.submit("short", SPECIFICATION, SHORT_S, FENCE)
    claim = granted(ledger.claim("short", "me"))
    eventually(lambda: True if (ledger.read(["short"])["short"].remaining_s or 0) < 0 else None)
    assert ledger.renew(claim)


def test_a_finished_unit_cannot_be_renewed(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    ledger.finish(claim, UnitState.DONE, {})
    assert not ledger.renew(claim)


# --- finishing


def test_a_finished_unit_keeps_its_report_and_is_not_granted_again(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    assert ledger.finish(claim, UnitState.DONE, {"loss": 0.25})
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.report, unit.remaining_s) == (UnitState.DONE, {"loss": 0.25}, None)
    assert ledger.claim("unit", "you") is None


def test_only_the_holder_can_finish(ledger: Ledger) -> None:
    assert not ledger.finish(lost_to_another(ledger), UnitState.DONE, {})
    assert ledger.read(["short"])["short"].state is UnitState.LEASED


def test_a_report_sent_twice_counts_once(ledger: Ledger, servers: Servers, run_id: str) -> None:
    claim = granted(ledger.claim("unit", "me"))
    assert ledger.finish(claim, UnitState.DONE, {"sent": 1})
    assert ledger.finish(claim, UnitState.DONE, {"sent": 2})
    assert ledger.read(["unit"])["unit"].report == {"sent": 1}
    assert servers.one("LLEN", control(run_id, "wakeup")) == 1


def test_a_failed_unit_can_be_claimed_again(ledger: Ledger) -> None:
    first = granted(ledger.claim("unit", "me"))
    assert ledger.finish(first, UnitState.FAILED, {"error": "no"})
    failed = ledger.read(["unit"])["unit"]
    assert (failed.state, failed.report, failed.tries) == (UnitState.FAILED, {"error": "no"}, 1)
    assert granted(ledger.claim("unit", "me")).attempt > first.attempt
    assert ledger.read(["unit"])["unit"].tries == 2


def test_an_ended_run_grants_renews_and_takes_nothing(
    ledger: Ledger, servers: Servers, run_id: str
) -> None:
    claim = granted(ledger.claim("unit", "me"))
    ledger.submit("another", SPECIFICATION, LONG_S, FENCE)
    leadership.close(servers, run_id, "me", RunState.FINISHED, {"reason": "passes"})
    assert ledger.claim("another", "me") is None
    assert not ledger.renew(claim)
    assert not ledger.finish(claim, UnitState.DONE, {})
    assert not ledger.release(claim)


def test_a_forgotten_unit_is_gone_for_everybody(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    ledger.forget(["unit"])
    assert ledger.read(["unit"]) == {}
    assert ledger.claim("unit", "me") is None
    assert not ledger.renew(claim)
    assert not ledger.finish(claim, UnitState.DONE, {})
    assert not ledger.release(claim)


def test_forgetting_nothing_is_no_error(ledger: Ledger) -> None:
    ledger.forget([])
    ledger.forget(["unknown"])


# --- giving back


def test_a_unit_that_was_given_back_is_open_and_its_try_does_not_count(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    assert ledger.release(claim)
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.tries, unit.remaining_s) == (UnitState.OPEN, 0, None)
    assert (unit.attempt, unit.owner) == (claim.attempt, "me")


def test_tries_before_the_one_that_was_given_back_stay_counted(ledger: Ledger) -> None:
    ledger.finish(granted(ledger.claim("unit", "me")), UnitState.FAILED, {})
    assert ledger.release(granted(ledger.claim("unit", "me")))
    assert ledger.read(["unit"])["unit"].tries == 1


def test_a_unit_that_was_given_back_is_granted_with_a_higher_attempt(ledger: Ledger) -> None:
    first = granted(ledger.claim("unit", "me"))
    ledger.release(first)
    assert granted(ledger.claim("unit", "you")).attempt > first.attempt
    assert ledger.read(["unit"])["unit"].tries == 1


def test_a_unit_given_back_twice_is_given_back_once(
    ledger: Ledger, servers: Servers, run_id: str
) -> None:
    claim = granted(ledger.claim("unit", "me"))
    assert ledger.release(claim)
    assert ledger.release(claim)
    assert ledger.read(["unit"])["unit"].tries == 0
    assert servers.one("LLEN", control(run_id, "wakeup")) == 1


def test_only_the_holder_can_give_back(ledger: Ledger) -> None:
    assert not ledger.release(lost_to_another(ledger))
    unit = ledger.read(["short"])["short"]
    assert (unit.state, unit.tries) == (UnitState.LEASED, 2)


def test_a_unit_that_was_given_back_can_be_neither_renewed_nor_finished(ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    ledger.release(claim)
    assert not ledger.renew(claim)
    ledger.finish(claim, UnitState.DONE, {})
    assert ledger.read(["unit"])["unit"].state is UnitState.OPEN


# --- fences


def test_a_claim_has_the_fence_of_its_run(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    fence = leadership.lead(
        servers, record, Claimant("you", "there", 2), LONG_S, least_fence=9, take_over=True
    )
    assert fence == 9
    ledger.submit("unit", SPECIFICATION, LONG_S, 9)
    assert granted(ledger.claim("unit", "me")).fence == 9


def test_what_was_entered_under_an_older_fence_is_granted_to_nobody(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    take(servers, record, "you")
    assert ledger.claim("unit", "me") is None
    assert ledger.read(["unit"])["unit"].state is UnitState.OPEN


def test_what_is_entered_under_a_fence_that_has_yet_to_come_waits_for_it(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    ledger.submit("early", SPECIFICATION, LONG_S, FENCE + 1)
    assert ledger.claim("early", "me") is None
    take(servers, record, "you")
    assert granted(ledger.claim("early", "me")).fence == FENCE + 1


def test_a_claim_under_an_older_fence_can_be_neither_renewed_nor_reported(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    claim = granted(ledger.claim("unit", "me"))
    take(servers, record, "you")
    assert not ledger.renew(claim)
    assert not ledger.finish(claim, UnitState.DONE, {"loss": 0.25})
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.report) == (UnitState.LEASED, {})
    assert servers.one("LLEN", control(record.run, "wakeup")) == 0


def test_a_newer_fence_enters_a_unit_anew(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    old = granted(ledger.claim("unit", "me"))
    ledger.finish(old, UnitState.FAILED, {"error": "no"})
    take(servers, record, "you")
    ledger.submit("unit", {"subset": 7}, SHORT_S, FENCE + 1)
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.tries, unit.owner) == (UnitState.OPEN, 0, "")
    assert (unit.report, unit.remaining_s) == ({}, None)

    new = granted(ledger.claim("unit", "me"))
    assert (new.fence, new.specification, new.lease_s) == (FENCE + 1, {"subset": 7}, SHORT_S)
    assert new.attempt > old.attempt
    assert not ledger.renew(old)
    assert not ledger.finish(old, UnitState.DONE, {})
    assert ledger.finish(new, UnitState.DONE, {})


def test_a_unit_cannot_be_entered_under_an_older_fence(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    """A coordinator that was taken over and does not know it yet."""
    take(servers, record, "you")
    ledger.submit("new", SPECIFICATION, LONG_S, FENCE + 1)
    ledger.submit("new", {"subset": 7}, SHORT_S, FENCE)
    assert granted(ledger.claim("new", "me")).specification == SPECIFICATION


def test_attempts_go_on_growing_under_a_new_fence(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    assert granted(ledger.claim("unit", "me")).attempt == 1
    take(servers, record, "you")
    ledger.submit("other", SPECIFICATION, LONG_S, FENCE + 1)
    assert granted(ledger.claim("other", "me")).attempt == 2


# --- forgetting all


def test_a_ledger_that_is_cleared_holds_no_unit_whoever_entered_it(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    """Even by a coordinator that does not know them: the one before it died."""
    units = ["unit", *(f"unit {i}" for i in range(5))]
    for unit in units:
        ledger.submit(unit, SPECIFICATION, LONG_S, FENCE)
    claim = granted(ledger.claim("unit", "me"))
    ledger.finish(granted(ledger.claim("unit 0", "me")), UnitState.DONE, {})
    Ledger(servers, record.run).clear()
    assert ledger.read(units) == {}
    assert not ledger.finish(claim, UnitState.DONE, {})
    assert [name for name in keys_of(servers, record.run) if name != "record"] == []


def test_what_was_forgotten_leaves_no_trace(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    ledger.submit("another", SPECIFICATION, LONG_S, FENCE)
    ledger.forget(["unit", "another"])
    assert keys_of(servers, record.run) == ["record"]


def test_clearing_a_ledger_without_units_is_no_error(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    ledger.clear()
    ledger.clear()
    ledger.submit("unit", SPECIFICATION, LONG_S, FENCE)
    assert ledger.claim("unit", "me") is not None


def test_clearing_leaves_the_units_of_other_runs(
    ledger: Ledger, servers: Servers, record: RunRecord
) -> None:
    other = Ledger(servers, f"{record.run}-other")
    other.submit("unit", SPECIFICATION, LONG_S, FENCE)
    ledger.clear()
    assert list(other.read(["unit"])) == ["unit"]
    other.clear()


# --- reading and waiting


def test_reading_leaves_out_what_is_unknown(ledger: Ledger) -> None:
    assert list(ledger.read(["unknown", "unit"])) == ["unit"]
    assert ledger.read([]) == {}


def test_an_open_unit_has_no_owner_and_no_lease(ledger: Ledger) -> None:
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.owner, unit.remaining_s) == (UnitState.OPEN, "", None)
    assert (unit.tries, unit.attempt, unit.report) == (0, 0, {})


def test_a_held_unit_names_its_owner_and_what_is_left_of_the_lease(ledger: Ledger) -> None:
    ledger.claim("unit", "me@here")
    unit = ledger.read(["unit"])["unit"]
    assert (unit.state, unit.owner) == (UnitState.LEASED, "me@here")
    assert unit.remaining_s is not None
    assert 0 < unit.remaining_s <= LONG_S


@pytest.mark.parametrize("end", ["finished", "given back"])
def test_a_wait_ends_when_a_unit_is(end: str, ledger: Ledger) -> None:
    claim = granted(ledger.claim("unit", "me"))
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        waiting = threads.submit(ledger.wait, LONG_S)
        if end == "finished":
            ledger.finish(claim, UnitState.DONE, {})
        else:
            ledger.release(claim)
        assert waiting.result(PATIENCE_S) == {"unit"}
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("timeout_s", [0.0, 0.05])
def test_a_wait_ends_when_nothing_happens(ledger: Ledger, timeout_s: float) -> None:
    began = time.monotonic()
    ledger.wait(timeout_s)
    assert timeout_s / 2 <= time.monotonic() - began < 4.0


def test_no_wait_is_none_even_for_an_idle_server(
    ledger: Ledger, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end a blocking command only at its next tick, a tenth of a second later."""

    def blocking(*_: object) -> None:
        raise AssertionError("a blocking command was sent")

    monkeypatch.setattr(servers, "pop", blocking)
    ledger.wait(0.0)


def test_a_wait_takes_all_wake_ups(ledger: Ledger, servers: Servers, run_id: str) -> None:
    for unit in ("a", "b", "c"):
        ledger.submit(unit, SPECIFICATION, LONG_S, FENCE)
        ledger.finish(granted(ledger.claim(unit, "me")), UnitState.DONE, {})
    assert ledger.wait(LONG_S) == {"a", "b", "c"}
    assert ledger.wait(0.0) == set()
    assert servers.one("LLEN", control(run_id, "wakeup")) == 0


# --- events


def test_events_are_read_in_order_with_their_fields(servers: Servers, run_id: str) -> None:
    events.append(servers, run_id, "begin", host="here")
    events.append(servers, run_id, "unit", loss=0.5, staleness={"1": 2})
    happened = list(events.read(servers, run_id))
    assert [(kind, fields) for _, kind, fields in happened] == [
        ("begin", {"host": "here"}),
        ("unit", {"loss": 0.5, "staleness": {"1": 2}}),
    ]
    assert happened[0][0] <= happened[1][0]


def test_a_run_without_events_has_none(servers: Servers, run_id: str) -> None:
    assert list(events.read(servers, run_id)) == []


def test_the_oldest_events_go_when_there_are_too_many(
    servers: Servers, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_EVENTS", 10)
    for i in range(300):
        events.append(servers, run_id, "step", number=i)
    numbers = [fields["number"] for _, _, fields in events.read(servers, run_id)]
    # Servers trim a stream by whole nodes of 100 entries.
    assert 10 <= len(numbers) <= 10 + 100
    assert numbers == list(range(300))[-len(numbers) :]
