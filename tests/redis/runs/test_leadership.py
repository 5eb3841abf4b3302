"""One coordinator at a time: who gets a run, who keeps it, and what the others are told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError, Fenced, ModelMissing
from distbelief.app.layout.keys import control
from distbelief.app.runs import leadership
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import Owner, RunState, Snapshot

PATIENCE_S = 60.0
LONG_S, SHORT_S = 60.0, 0.05
ME, YOU = Claimant("me", "here", 17), Claimant("you", "there", 18)

T = TypeVar("T")
Lead = Callable[..., int | Owner]


@pytest.fixture
def servers(control_server: Servers) -> Servers:
    return control_server


@pytest.fixture
def lead(servers: Servers, record: RunRecord) -> Lead:
    """Ask for the run."""

    def ask(claimant: Claimant = ME, lease_s: float = LONG_S, **how: Any) -> int | Owner:
        return leadership.lead(servers, record, claimant, lease_s, **how)

    return ask


@pytest.fixture
def led(servers: Servers, record: RunRecord, lead: Lead) -> RunRecord:
    """A run that I coordinate under fence 1."""
    assert lead() == 1
    return record


def known(servers: Servers, run: str) -> Snapshot:
    snapshot = leadership.look(servers, run)
    assert snapshot is not None
    return snapshot


def owner(servers: Servers, run: str) -> Owner:
    found = known(servers, run).owner
    assert found is not None
    return found


def eventually(ask: Callable[[], T | None]) -> T:
    """What ``ask`` answers once it is not None."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def granted(answer: int | Owner) -> int | None:
    return answer if isinstance(answer, int) else None


# --- taking a run


def test_a_new_run_is_granted_under_the_first_fence(lead: Lead) -> None:
    assert lead() == 1


def test_a_run_is_granted_under_no_lower_fence_than_asked(lead: Lead) -> None:
    assert lead(least_fence=7) == 7


def test_a_fence_grows_even_when_less_would_do(lead: Lead) -> None:
    lead(least_fence=7)
    assert lead(YOU, least_fence=3, take_over=True) == 8


def test_a_run_whose_coordinator_lives_is_held(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    holder = lead(YOU)
    assert isinstance(holder, Owner)
    assert (holder.host, holder.process) == ("here", 17)
    assert 0 <= holder.silent_s <= holder.age_s < PATIENCE_S
    assert known(servers, led.run).fence == 1
    assert not leadership.keep(servers, led.run, "me", {})


def test_a_holder_is_named_with_its_age_and_its_silence() -> None:
    assert str(Owner("here", 17, 61.4, 2.25)) == (
        "process 17 on here (for 61 s, last heard of 2.2 s ago)"
    )


def test_of_many_claimants_one_is_granted(lead: Lead) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: lead(Claimant(f"{i}", "here", i)), range(24)))
    assert [answer for answer in answers if isinstance(answer, int)] == [1]


def test_a_request_whose_answer_was_lost_is_granted_again_under_the_same_fence(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    assert lead() == 1
    assert known(servers, led.run).fence == 1


def test_a_coordinator_replaces_its_own_request_under_a_new_fence(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    since = servers.one("HGET", control(led.run, "record"), "since")
    eventually(lambda: True if owner(servers, led.run).age_s > 0.01 else None)
    assert lead(Claimant("me again", "here", 17, replaces="me")) == 2
    with pytest.raises(Fenced):
        leadership.keep(servers, led.run, "me", {})
    assert not leadership.keep(servers, led.run, "me again", {})
    # It is the same coordinator, for as long as it has been.
    assert servers.one("HGET", control(led.run, "record"), "since") == since


def test_a_coordinator_cannot_replace_the_request_of_another(led: RunRecord, lead: Lead) -> None:
    lead(YOU, take_over=True)
    holder = lead(Claimant("me again", "here", 17, replaces="me"))
    assert isinstance(holder, Owner)
    assert holder.process == 18


def test_a_run_is_taken_over_from_a_coordinator_that_lives(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    assert lead(YOU, take_over=True) == 2
    assert owner(servers, led.run).process == 18
    for late in (
        lambda: leadership.keep(servers, led.run, "me", {}),
        lambda: leadership.commit(servers, led.run, 1, {}),
        lambda: leadership.close(servers, led.run, "me", RunState.FAILED, {}),
    ):
        with pytest.raises(Fenced, match=f"another coordinator has taken run {led.run}"):
            late()
    assert known(servers, led.run).state is RunState.RUNNING


def test_a_run_whose_lease_ran_out_is_granted_to_another(lead: Lead) -> None:
    assert lead(lease_s=SHORT_S) == 1
    assert eventually(lambda: granted(lead(YOU))) == 2


def test_an_age_begins_anew_with_another_coordinator(
    servers: Servers, record: RunRecord, lead: Lead
) -> None:
    lead()
    before = int(servers.one("HGET", control(record.run, "record"), "since"))
    eventually(lambda: True if owner(servers, record.run).age_s > 0.01 else None)
    lead(YOU, take_over=True)
    assert int(servers.one("HGET", control(record.run, "record"), "since")) > before


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED])
def test_a_run_that_was_let_go_is_granted_at_once(
    servers: Servers, led: RunRecord, lead: Lead, state: RunState
) -> None:
    leadership.ask_to_stop(servers, led.run)
    leadership.close(servers, led.run, "me", state, {"reason": "interrupted"})
    assert lead(YOU) == 2
    # What was said of its end holds no longer, and nobody has asked the new one to stop.
    snapshot = known(servers, led.run)
    assert (snapshot.state, snapshot.outcome) == (RunState.RUNNING, {})
    assert not leadership.keep(servers, led.run, "you", {})


@pytest.mark.parametrize("take_over", [False, True])
def test_a_finished_run_is_granted_to_nobody(
    servers: Servers, led: RunRecord, lead: Lead, take_over: bool
) -> None:
    leadership.close(servers, led.run, "me", RunState.FINISHED, {})
    for claimant in (ME, YOU):
        with pytest.raises(ConfigError, match=f"run {led.run} has finished: .* --init-from"):
            lead(claimant, take_over=take_over)


def test_a_run_that_the_server_lost_is_granted_under_a_fence_of_ones_choice(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    servers.one("DEL", control(led.run, "record"))
    assert lead(Claimant("me again", "here", 17, replaces="me"), least_fence=2) == 2


# --- keeping it


def test_a_lease_that_is_kept_runs_its_full_length_again(servers: Servers, led: RunRecord) -> None:
    eventually(lambda: True if owner(servers, led.run).silent_s > 0.02 else None)
    before = int(servers.one("HGET", control(led.run, "record"), "expires"))
    leadership.keep(servers, led.run, "me", {})
    assert int(servers.one("HGET", control(led.run, "record"), "expires")) >= before + 20
    holder = owner(servers, led.run)
    assert holder.silent_s < holder.age_s


def test_a_lease_that_ran_out_unclaimed_can_be_kept(servers: Servers, led: RunRecord) -> None:
    servers.one("HSET", control(led.run, "record"), "expires", 1)
    assert not leadership.keep(servers, led.run, "me", {})
    assert owner(servers, led.run).silent_s < PATIENCE_S


def test_what_its_coordinator_tells_is_known_to_everybody(servers: Servers, led: RunRecord) -> None:
    assert known(servers, led.run).status == {}
    leadership.keep(servers, led.run, "me", {"figures": [["loss", "0.5"]]})
    assert known(servers, led.run).status == {"figures": [["loss", "0.5"]]}


def test_a_coordinator_hears_that_it_is_asked_to_stop(servers: Servers, led: RunRecord) -> None:
    assert not leadership.keep(servers, led.run, "me", {})
    leadership.ask_to_stop(servers, led.run)
    assert leadership.keep(servers, led.run, "me", {})
    assert leadership.keep(servers, led.run, "me", {})


def test_a_coordinator_that_mends_its_run_still_hears_that_it_is_asked_to_stop(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    leadership.ask_to_stop(servers, led.run)
    lead(Claimant("me again", "here", 17, replaces="me"))
    assert leadership.keep(servers, led.run, "me again", {})


def test_whoever_takes_a_run_over_has_not_been_asked_to_stop(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    leadership.ask_to_stop(servers, led.run)
    lead(YOU, take_over=True)
    assert not leadership.keep(servers, led.run, "you", {})


def test_a_run_that_the_server_lost_can_be_neither_kept_nor_committed_nor_closed(
    servers: Servers, led: RunRecord
) -> None:
    servers.one("DEL", control(led.run, "record"))
    for ask in (
        lambda: leadership.keep(servers, led.run, "me", {}),
        lambda: leadership.commit(servers, led.run, 1, {}),
        lambda: leadership.close(servers, led.run, "me", RunState.STOPPED, {}),
    ):
        with pytest.raises(ModelMissing, match=f"the control server lost run {led.run}"):
            ask()
    assert leadership.look(servers, led.run) is None
    assert leadership.committed(servers, led.run) is None


# --- committing


def test_the_last_commit_is_what_a_new_coordinator_finds(servers: Servers, led: RunRecord) -> None:
    assert leadership.committed(servers, led.run) is None
    leadership.commit(servers, led.run, 1, {"iteration": 1})
    leadership.commit(servers, led.run, 1, {"iteration": 2, "loss": 0.5})
    assert leadership.committed(servers, led.run) == {"iteration": 2, "loss": 0.5}


def test_a_commit_under_an_older_fence_is_refused_and_changes_nothing(
    servers: Servers, led: RunRecord, lead: Lead
) -> None:
    leadership.commit(servers, led.run, 1, {"iteration": 1})
    lead(YOU, take_over=True)
    leadership.commit(servers, led.run, 2, {"iteration": 2})
    for fence in (1, 3):
        with pytest.raises(Fenced):
            leadership.commit(servers, led.run, fence, {"iteration": 7})
    assert leadership.committed(servers, led.run) == {"iteration": 2}


def test_a_commit_outlives_its_coordinator(servers: Servers, led: RunRecord, lead: Lead) -> None:
    leadership.commit(servers, led.run, 1, {"iteration": 1})
    leadership.close(servers, led.run, "me", RunState.FAILED, {})
    lead(YOU)
    assert leadership.committed(servers, led.run) == {"iteration": 1}


# --- letting it go


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED, RunState.FINISHED])
def test_the_outcome_of_a_run_is_kept(servers: Servers, led: RunRecord, state: RunState) -> None:
    leadership.close(servers, led.run, "me", state, {"reason": "target"})
    snapshot = known(servers, led.run)
    assert (snapshot.state, snapshot.outcome) == (state, {"reason": "target"})
    assert snapshot.owner is None


def test_a_run_may_be_let_go_twice(servers: Servers, led: RunRecord) -> None:
    for _ in range(2):
        leadership.close(servers, led.run, "me", RunState.STOPPED, {"reason": "interrupted"})
    assert known(servers, led.run).outcome == {"reason": "interrupted"}


def test_wake_ups_end_with_the_run(servers: Servers, led: RunRecord) -> None:
    servers.one("RPUSH", control(led.run, "wakeup"), "1")
    leadership.close(servers, led.run, "me", RunState.STOPPED, {})
    assert servers.one("EXISTS", control(led.run, "wakeup")) == 0


# --- looking at it


def test_a_run_in_hand_is_known_with_its_coordinator_and_its_document(
    servers: Servers, led: RunRecord
) -> None:
    snapshot = known(servers, led.run)
    assert (snapshot.state, snapshot.fence) == (RunState.RUNNING, 1)
    assert RunRecord.from_json(led.run, snapshot.document) == led
    assert snapshot.owner is not None
    assert (snapshot.owner.host, snapshot.owner.process) == ("here", 17)
    assert (snapshot.status, snapshot.outcome) == ({}, {})


def test_silence_is_counted_from_the_last_sign_of_life(servers: Servers, led: RunRecord) -> None:
    key = control(led.run, "record")
    seconds, _ = servers.one("TIME")
    servers.one("HSET", key, "expires", int(seconds) * 1000 - 40_000)
    silent_s = owner(servers, led.run).silent_s
    assert LONG_S + 40 <= silent_s < LONG_S + 40 + PATIENCE_S


# --- a clock that jumps


def jump(servers: Servers, run: str, hours: int) -> None:
    """Set the server's clock: what was noted by it lies as much before or behind."""
    for name in ("since", "expires"):
        servers.one("HINCRBY", control(run, "record"), name, -3_600_000 * hours)


@pytest.mark.parametrize("hours", [-1, 1])
def test_whatever_the_clock_does_nobody_waits_for_a_dead_coordinator(
    servers: Servers, led: RunRecord, lead: Lead, hours: int
) -> None:
    jump(servers, led.run, hours)
    holder = owner(servers, led.run)
    assert holder.silent_s > LONG_S
    assert holder.age_s >= 0
    assert lead(YOU) == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_whatever_the_clock_does_a_run_can_be_removed(
    servers: Servers, led: RunRecord, hours: int
) -> None:
    assert isinstance(leadership.discard(servers, led.run), Owner)
    jump(servers, led.run, hours)
    assert leadership.discard(servers, led.run) == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_whatever_the_clock_does_a_coordinator_that_lives_keeps_its_run(
    servers: Servers, led: RunRecord, lead: Lead, hours: int
) -> None:
    jump(servers, led.run, hours)
    assert not leadership.keep(servers, led.run, "me", {})
    holder = lead(YOU)
    assert isinstance(holder, Owner)
    assert 0 <= holder.silent_s < PATIENCE_S
    assert holder.age_s >= 0
    assert known(servers, led.run).idle_s < PATIENCE_S


def test_a_run_that_nobody_took_is_unknown(servers: Servers, run_id: str) -> None:
    assert leadership.look(servers, run_id) is None
    leadership.ask_to_stop(servers, run_id)
    assert leadership.look(servers, run_id) is None


# --- the record, as workers read it


def test_a_record_survives_the_server(servers: Servers, led: RunRecord) -> None:
    assert leadership.read_run(servers, led.run, 1) == led


def test_the_record_of_the_last_claimant_counts(servers: Servers, led: RunRecord) -> None:
    moved = RunRecord(led.run, led.config, led.layout, ("redis://c",), "abc", Schema(5, 2))
    fence = leadership.lead(servers, moved, YOU, LONG_S, take_over=True)
    assert fence == 2
    assert leadership.read_run(servers, led.run, 2) == moved


@pytest.mark.parametrize("fence", [0, 2])
def test_a_run_is_not_running_under_another_fence(
    servers: Servers, led: RunRecord, fence: int
) -> None:
    with pytest.raises(Fenced, match=f"run {led.run} is not running under fence {fence}"):
        leadership.read_run(servers, led.run, fence)


def test_a_run_that_was_never_taken_is_not_running(servers: Servers, run_id: str) -> None:
    with pytest.raises(Fenced, match=f"run {run_id} is not running"):
        leadership.read_run(servers, run_id, 1)


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED, RunState.FINISHED])
def test_an_ended_run_is_not_running(servers: Servers, led: RunRecord, state: RunState) -> None:
    leadership.close(servers, led.run, "me", state, {"reason": "target"})
    with pytest.raises(Fenced, match=f"run {led.run} is not running"):
        leadership.read_run(servers, led.run, 1)


def test_a_record_without_an_identity_is_read(record: RunRecord) -> None:
    """Those of older programs have none; their coordinators are not compared."""
    document = record.to_json()
    del document["identity"]
    assert RunRecord.from_json(record.run, document) == record
    known = replace(record, identity=Identity("1", "abc", {"own": "def"}))
    assert RunRecord.from_json(record.run, json.loads(json.dumps(known.to_json()))) == known


def test_a_record_of_another_format_is_refused(record: RunRecord) -> None:
    document = {**record.to_json(), "format": 99}
    with pytest.raises(ConfigError, match="was written in format 99, this program reads format"):
        RunRecord.from_json(record.run, document)


def test_a_record_with_unknown_settings_is_refused(record: RunRecord) -> None:
    document = record.to_json()
    document["config"]["warp"] = 0.9
    with pytest.raises(ConfigError, match=r"does not know: use the same version .*warp"):
        RunRecord.from_json(record.run, document)
