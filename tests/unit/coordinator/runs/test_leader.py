"""This process as a coordinator: it keeps its run, hears what others want, and lets it go."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError, Fenced, ModelMissing, RunTaken, ServerUnreachable
from distbelief.app.layout.keys import control
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.runs import leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import Owner, RunState, Snapshot
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.runs import leader as module
from distbelief.coordinator.runs.leader import Leader
from tests.redis.fake import fake_control_server
from tests.redis.private import connected

PATIENCE_S = 60.0
#: The lease of a coordinator that lives; nobody waits for its end.
LEASE_S = 60.0
#: That of one which is dead: others do.
SHORT_S = 0.2

T = TypeVar("T")
Make = Callable[..., Leader]
numbers = count()


@pytest.fixture(scope="module")
def fake_url() -> Iterator[str]:
    with fake_control_server() as url:
        yield url


@pytest.fixture
def servers(fake_url: str) -> Iterator[Servers]:
    with connected(fake_url) as clients:
        yield clients


@pytest.fixture
def record() -> RunRecord:
    layout = Layout((TensorSpec("w", (4,)),), 4, 1, 1)
    return RunRecord(
        f"run-{next(numbers)}", RunConfig(), layout, ("redis://a",), "abc", Schema(5, 2)
    )


@pytest.fixture
def make(servers: Servers, record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes coordinators that renew and ask as often as tests need it."""
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "POLL_S", 0.02)
    made: list[Leader] = []

    def make_leader(lease_s: float = LEASE_S) -> Leader:
        made.append(Leader(servers, record.run, lease_s))
        return made[-1]

    yield make_leader
    for each in made:
        each.stop()


@pytest.fixture
def leader(make: Make, record: RunRecord) -> Leader:
    """It has the run."""
    leader = make()
    leader.take(record)
    return leader


def eventually(ask: Callable[[], T | None]) -> T:
    """What ``ask`` answers once it is neither None nor False."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return answer


def known(servers: Servers, run: str) -> Snapshot:
    snapshot = leadership.look(servers, run)
    assert snapshot is not None
    return snapshot


def lead_as_another(
    servers: Servers, record: RunRecord, lease_s: float = LEASE_S, *, take_over: bool = False
) -> int | Owner:
    """A coordinator on paper, which never renews."""
    claimant = Claimant("another", "there", 18)
    return leadership.lead(servers, record, claimant, lease_s, take_over=take_over)


def failure(leader: Leader) -> Exception | None:
    try:
        leader.check()
    except (RunTaken, ModelMissing) as error:
        return error
    return None


# --- taking a run


def test_a_new_run_is_taken_in_the_name_of_this_process(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    assert leader.fence == 1
    leader.check()
    owner = known(servers, record.run).owner
    assert owner is not None
    assert (owner.host, owner.process) == (socket.gethostname(), os.getpid())
    assert leadership.read_run(servers, record.run, 1) == record


def test_a_run_is_taken_under_no_lower_fence_than_asked(make: Make, record: RunRecord) -> None:
    leader = make()
    assert leader.fence == 0
    leader.take(record, least_fence=9)
    assert leader.fence == 9


def test_a_coordinator_that_lives_keeps_its_run(
    leader: Leader, make: Make, record: RunRecord
) -> None:
    second = make()
    with pytest.raises(RunTaken) as refused:
        second.take(record)
    assert str(refused.value).startswith(
        f"run {record.run} is coordinated by process {os.getpid()} on {socket.gethostname()} (for "
    )
    assert f"stop it with 'distbelief stop {record.run}', or take" in str(refused.value)
    assert "--take-over" in str(refused.value)
    assert (second.fence, second._renewal) == (0, None)
    leader.check()


def test_the_lease_of_a_dead_coordinator_is_waited_for(
    make: Make, servers: Servers, record: RunRecord
) -> None:
    lead_as_another(servers, record, SHORT_S)
    leader, said = make(SHORT_S), list[str]()
    leader.take(record, say=said.append)
    assert leader.fence == 2
    (told,) = said
    assert told.startswith("waiting for the lease of process 18 on there (for 0 s, ")


def test_an_answer_that_comes_late_is_not_taken_for_a_sign_of_life(
    make: Make, servers: Servers, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = leadership.lead

    def slowly(*arguments: Any, **how: Any) -> int | Owner:
        answer = lead(*arguments, **how)
        time.sleep(SHORT_S / 4)
        return answer

    lead_as_another(servers, record, SHORT_S)
    monkeypatch.setattr(leadership, "lead", slowly)
    leader = make(SHORT_S)
    leader.take(record)
    assert leader.fence == 2


def test_a_lease_that_ran_out_long_ago_is_not_waited_for(
    make: Make, servers: Servers, record: RunRecord
) -> None:
    lead_as_another(servers, record)
    servers.one("HSET", control(record.run, "record"), "expires", 1)
    leader, said = make(), list[str]()
    leader.take(record, say=said.append)
    assert (leader.fence, said) == (2, [])


def test_a_lease_much_longer_than_ones_own_is_given_up_on(
    make: Make, servers: Servers, record: RunRecord
) -> None:
    lead_as_another(servers, record)
    leader, said = make(SHORT_S), list[str]()
    with pytest.raises(RunTaken, match="is coordinated by process 18 on there"):
        leader.take(record, say=said.append)
    assert len(said) == 1


def test_a_run_is_taken_over_and_the_coordinator_before_hears_of_it(
    leader: Leader, make: Make, record: RunRecord
) -> None:
    second = make()
    second.take(record, take_over=True)
    assert second.fence == 2
    error = eventually(lambda: failure(leader))
    assert isinstance(error, RunTaken)
    assert str(error) == f"another coordinator has taken run {record.run}"
    second.check()


def test_a_finished_run_is_not_taken(make: Make, leader: Leader, record: RunRecord) -> None:
    leader.close(RunState.FINISHED, {})
    second = make()
    with pytest.raises(ConfigError, match="has finished"):
        second.take(record)
    assert second._renewal is None


# --- keeping it


def test_the_lease_is_renewed_again_and_again(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    def expires() -> int:
        return int(servers.one("HGET", control(record.run, "record"), "expires"))

    for _ in range(3):
        before = expires()
        assert eventually(lambda: expires() > before)  # noqa: B023  (used at once)


def test_what_it_tells_is_known_to_everybody(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    for loss in ("0.5", "0.25"):
        leader.status = {"figures": [["loss", loss]]}
        wanted = dict(leader.status)
        assert eventually(lambda: known(servers, record.run).status == wanted)  # noqa: B023
    leader.status = {"figures": [["loss", "0.125"]]}  # just before the end
    leader.close(RunState.FINISHED, {})
    assert known(servers, record.run).status == leader.status


def test_it_hears_that_it_is_asked_to_stop(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    assert not leader.asked_to_stop()
    leadership.ask_to_stop(servers, record.run)
    assert eventually(leader.asked_to_stop)
    leader.renew(record)
    assert leader.asked_to_stop()


def test_a_request_to_stop_is_heard_whatever_happens_at_the_same_time(
    make: Make, servers: Servers, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence is raised after the request and before the thread looked."""
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.3)
    leader = make()
    leader.take(record)
    leadership.ask_to_stop(servers, record.run)
    leader.renew(record)
    assert eventually(leader.asked_to_stop)


def test_a_control_server_that_does_not_answer_for_a_while_is_no_loss(
    make: Make, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, keep = [], leadership.keep

    def often_silent(*arguments: Any) -> bool:
        asked.append(arguments)
        if len(asked) <= 3:
            raise ServerUnreachable("no answer")
        return keep(*arguments)

    monkeypatch.setattr(leadership, "keep", often_silent)
    leader = make()
    leader.take(record)
    assert eventually(lambda: len(asked) > 5)
    leader.check()


def test_a_control_server_that_lost_the_run_is_told_and_the_run_taken_again(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    servers.one("DEL", control(record.run, "record"))
    error = eventually(lambda: failure(leader))
    assert isinstance(error, ModelMissing)
    assert f"the control server lost run {record.run}" in str(error)
    leader.renew(record)
    assert leader.fence == 2
    leader.check()
    assert leadership.read_run(servers, record.run, 2) == record


# --- under a new fence


def test_a_new_fence_shuts_out_what_was_begun_under_the_old_one(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    leader.renew(record)
    assert leader.fence == 2
    with pytest.raises(Fenced):
        leadership.read_run(servers, record.run, 1)
    with pytest.raises(Fenced):
        leadership.commit(servers, record.run, 1, {})


def test_raising_the_fence_is_never_taken_for_somebody_elses_doing(
    make: Make, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own thread is about to renew with the claimer that is being replaced."""
    keep, about_to, renewed = leadership.keep, threading.Event(), threading.Event()
    kept: list[object] = []

    def slowly(*arguments: Any) -> bool:
        about_to.set()
        renewed.wait(0.1)  # in vain, if the fence waits for us as it should
        stop = keep(*arguments)
        kept.append(arguments)
        return stop

    monkeypatch.setattr(leadership, "keep", slowly)
    leader = make()
    leader.take(record)
    assert about_to.wait(PATIENCE_S)
    leader.renew(record)
    renewed.set()
    assert leader.fence == 2
    assert eventually(lambda: len(kept) >= 2)
    leader.check()


def test_a_run_that_was_taken_over_cannot_be_renewed(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    assert lead_as_another(servers, record, take_over=True) == 2
    with pytest.raises(RunTaken, match="was taken over by process 18 on there"):
        leader.renew(record)
    assert known(servers, record.run).fence == 2


# --- committing


def test_a_commit_is_what_a_new_coordinator_finds(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    leader.commit({"iteration": 1})
    leader.renew(record)
    leader.commit({"iteration": 2})
    assert leadership.committed(servers, record.run) == {"iteration": 2}


def test_a_commit_of_a_coordinator_that_was_taken_over_is_refused(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    leader.commit({"iteration": 1})
    lead_as_another(servers, record, take_over=True)
    with pytest.raises(RunTaken):
        leader.commit({"iteration": 2})
    assert leadership.committed(servers, record.run) == {"iteration": 1}


def test_a_commit_to_a_server_that_lost_the_run_says_so(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    servers.one("DEL", control(record.run, "record"))
    with pytest.raises(ModelMissing):
        leader.commit({"iteration": 1})


# --- letting it go


def test_a_run_that_is_let_go_can_be_taken_at_once(
    leader: Leader, make: Make, servers: Servers, record: RunRecord
) -> None:
    leader.close(RunState.STOPPED, {"reason": "interrupted"})
    snapshot = known(servers, record.run)
    assert (snapshot.state, snapshot.outcome) == (RunState.STOPPED, {"reason": "interrupted"})
    assert leader._renewal is not None
    assert not leader._renewal.is_alive  # it would keep what it has not any more
    second, said = make(), list[str]()
    second.take(record, say=said.append)
    assert (second.fence, said) == (2, [])


def test_a_run_that_is_somebody_elses_cannot_be_let_go(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    lead_as_another(servers, record, take_over=True)
    with pytest.raises(Fenced):
        leader.close(RunState.STOPPED, {})
    assert known(servers, record.run).state is RunState.RUNNING


def test_a_coordinator_that_only_stops_leaves_its_lease_to_run_out(
    leader: Leader, servers: Servers, record: RunRecord
) -> None:
    leader.stop()
    assert leader._renewal is not None
    assert not leader._renewal.is_alive
    assert known(servers, record.run).state is RunState.RUNNING
    assert isinstance(lead_as_another(servers, record), Owner)
