"""Runs are taken off their servers, whole, and nobody brings them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.client import sweep
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ConfigError, ModelMissing, RunTaken, ServerUnreachable
from distbelief.app.layout.keys import control, patterns, shard
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.runs import events, leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.ledger import Ledger
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import configure
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.runs import removal
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.resumption import Found
from tests.redis.conftest import ClusterOf
from tests.redis.private import connected

ME = Claimant("me", "here", 17)
LONG_S, SHORT_S = 60.0, 0.05
NOWHERE = "unix:///nowhere/at/all"


@pytest.fixture
def control_server(cluster_of: ClusterOf, program: ServerProgram) -> Iterator[Servers]:
    with connected(cluster_of(program).endpoints.broker) as clients:
        yield clients


@pytest.fixture
def found(
    cluster_of: ClusterOf, program: ServerProgram, record: RunRecord, tmp_path: Path
) -> Found:
    """The run as another terminal finds it; nothing is on any server yet."""
    at = cluster_of(program).endpoints
    config = record.config.model_copy(update={"lease_seconds": 0.2})
    record = replace(record, config=config, parameter_servers=at.parameter_servers)
    _, cluster = configure({"broker": at.broker, "parameter_servers": at.parameter_servers})
    return Found(record, cluster, RunFolder(tmp_path / record.run), False, at.broker)


@pytest.fixture
def store(servers: Servers, found: Found) -> RedisParameterStore:
    """The shards of the run, with slots and a vector beside them."""
    record = found.record
    made = RedisParameterStore(
        servers, record.run, record.layout, build_rule(record.config), fence=1
    )
    made.create(np.zeros(record.layout.size))
    made.copy("params", "vec:best")
    return made


@pytest.fixture
def ended(control_server: Servers, found: Found, store: RedisParameterStore) -> Found:
    """A run that is on all servers, and has stopped."""
    run = found.record.run
    leadership.lead(control_server, found.record, ME, LONG_S)
    leadership.commit(control_server, run, 1, {})
    events.append(control_server, run, "begin")
    leadership.close(control_server, run, ME.claimer, RunState.STOPPED, {})
    return found


def keys(servers: Servers, pattern: str) -> list[set[str]]:
    return [
        {key.decode() for key in servers.one("KEYS", pattern, server=index)}
        for index in range(len(servers))
    ]


def push(store: RedisParameterStore) -> None:
    store.push(Token(1, 0, 1), 1, np.ones(store.layout.size))


def test_nothing_of_a_run_is_left_but_a_note_that_ends(
    ended: Found, servers: Servers, control_server: Servers
) -> None:
    run = ended.record.run
    on_control, on_servers = patterns(run)
    there = sum(map(len, keys(servers, on_servers))) + len(keys(control_server, on_control)[0])
    removed = removal.delete(ended)
    assert (removed.failure, removed.amount.keys) == (None, there)
    assert removed.amount.bytes is not None
    assert removed.amount.bytes > 0
    assert keys(servers, on_servers) == [set(), set()]
    assert keys(control_server, on_control) == [{control(run, "record")}]
    assert control_server.one("TTL", control(run, "record")) > 0
    assert leadership.look(control_server, run) is None


def test_a_dry_run_counts_what_would_go_and_leaves_it(
    ended: Found, store: RedisParameterStore, control_server: Servers
) -> None:
    counted = removal.delete(ended, dry_run=True)
    assert leadership.look(control_server, ended.record.run) is not None
    push(store)
    assert removal.delete(ended).amount.keys == counted.amount.keys


def test_other_runs_stay_even_those_with_a_name_that_matches(
    ended: Found, servers: Servers, control_server: Servers
) -> None:
    for name in ("*", "[a-z]est-1", "?"):
        wild = replace(ended, record=replace(ended.record, run=name))
        assert removal.delete(wild).amount.keys <= 1
    other = shard(ended.record.run + "0", 0, "params")
    servers.one("HSET", other, "0", "x")
    removal.delete(ended)
    assert servers.one("EXISTS", other) == 1
    servers.one("DEL", other)


def test_late_pushes_find_no_model_and_make_none(
    ended: Found, store: RedisParameterStore, servers: Servers
) -> None:
    removal.delete(ended)
    with pytest.raises(ModelMissing):
        push(store)
    with pytest.raises(ModelMissing):
        store.announce(Token(1, 0, 2))
    with pytest.raises(ModelMissing):
        store.copy("params", "vec:late")
    assert keys(servers, patterns(ended.record.run)[1]) == [set(), set()]


def test_a_run_that_is_coordinated_is_refused_and_whole(
    found: Found, store: RedisParameterStore, control_server: Servers
) -> None:
    leadership.lead(control_server, found.record, ME, LONG_S)
    for dry_run in (True, False):
        with pytest.raises(RunTaken, match=f"{found.record.run} is coordinated by process 17"):
            removal.delete(found, dry_run=dry_run)
    assert leadership.keep(control_server, found.record.run, ME.claimer, {}) is False
    push(store)


def test_a_coordinator_that_slept_does_not_bring_the_run_back(
    found: Found, store: RedisParameterStore, control_server: Servers
) -> None:
    record = found.record
    leadership.lead(control_server, record, ME, SHORT_S)
    _wait_out(lambda: removal.delete(found))
    with pytest.raises(ModelMissing):
        leadership.keep(control_server, record.run, ME.claimer, {})
    again = Claimant("again", "here", 17, replaces=ME.claimer)
    with pytest.raises(RunTaken, match="was removed from its servers"):
        leadership.lead(control_server, record, again, LONG_S)
    events.append(control_server, record.run, "late")
    Ledger(control_server, record.run).submit("late", {}, LONG_S, fence=1)
    assert leadership.look(control_server, record.run) is None
    assert keys(control_server, patterns(record.run)[0]) == [{control(record.run, "record")}]


def test_a_removed_run_may_be_resumed_from_its_folder(
    ended: Found, control_server: Servers
) -> None:
    removal.delete(ended)
    fence = leadership.lead(control_server, ended.record, Claimant("new", "here", 18), LONG_S)
    assert fence == 3  # above all that were shut out
    assert control_server.one("TTL", control(ended.record.run, "record")) == -1


def test_what_a_silent_server_holds_is_said_and_removed_later(
    ended: Found, servers: Servers, control_server: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "ANSWER_S", 0.2)
    run, urls = ended.record.run, ended.cluster.parameter_servers
    half = ended.cluster.model_copy(update={"parameter_servers": (urls[0], NOWHERE)})
    removed = removal.delete(replace(ended, cluster=half))
    assert isinstance(removed.failure, ServerUnreachable)
    assert [each.failure is None for each in removed.servers] == [True, True, False]
    assert not keys(servers, patterns(run)[1])[0]
    assert keys(servers, patterns(run)[1])[1]
    seen = leadership.look(control_server, run)
    assert seen is not None
    assert seen.state is RunState.REMOVED
    with pytest.raises(ConfigError, match=f"runs --delete {run}"):
        leadership.lead(control_server, ended.record, Claimant("new", "here", 18), LONG_S)
    assert removal.delete(ended).failure is None
    assert keys(servers, patterns(run)[1]) == [set(), set()]


def test_without_its_control_server_nothing_is_touched(
    ended: Found, store: RedisParameterStore
) -> None:
    lost = replace(ended, cluster=ended.cluster.model_copy(update={"broker": NOWHERE}))
    with pytest.raises(ServerUnreachable):
        removal.delete(lost)
    push(store)


def test_another_number_of_servers_is_refused(ended: Found) -> None:
    urls = ended.cluster.parameter_servers
    other = ended.cluster.model_copy(update={"parameter_servers": urls + urls})
    with pytest.raises(ConfigError, match="uses 2 parameter servers, 4 are named"):
        removal.delete(replace(ended, cluster=other))


def test_all_keys_of_a_server_end_at_one_instant_and_may_be_kept_after_all(
    ended: Found, servers: Servers
) -> None:
    pattern = patterns(ended.record.run)[1]
    sweep.expire(servers, pattern, 1000.0)
    of_run = servers.one("KEYS", pattern)
    ends = {servers.one("PEXPIRETIME", key) for key in of_run}
    assert len(ends) == 1
    assert 900_000 < servers.one("PTTL", of_run[0]) <= 1_000_000
    sweep.persist(servers, pattern)
    assert {servers.one("PTTL", key) for key in of_run} == {-1}


def test_more_keys_than_a_batch_go(servers: Servers, run_id: str) -> None:
    words = [word for index in range(2345) for word in (shard(run_id, index, "meta"), "x")]
    servers.one("MSET", *words)
    assert sweep.count(servers, patterns(run_id)[1]).keys == 2345
    assert sweep.unlink(servers, patterns(run_id)[1]).keys == 2345
    assert sweep.count(servers, patterns(run_id)[1]).keys == 0


def test_the_record_says_when_it_goes_until_the_run_is_taken_up_again(
    ended: Found, control_server: Servers
) -> None:
    run = ended.record.run
    leadership.retire(control_server, run, ME.claimer, 1000.0)
    seen = leadership.look(control_server, run)
    assert seen is not None
    assert seen.goes_s == pytest.approx(1000.0, abs=5.0)
    assert leadership.lead(control_server, ended.record, Claimant("new", "here", 18), LONG_S) == 2
    again = leadership.look(control_server, run)
    assert again is not None
    assert again.goes_s is None
    assert control_server.one("TTL", control(run, "record")) == -1


def test_a_run_is_idle_since_it_ended(ended: Found, control_server: Servers) -> None:
    key = control(ended.record.run, "record")
    now_s = int(control_server.one("TIME")[0])
    control_server.one("HSET", key, "ended", 1000 * (now_s - 500))
    seen = leadership.look(control_server, ended.record.run)
    assert seen is not None
    assert seen.idle_s == pytest.approx(500.0, abs=5.0)
    # Of an older version there is only its beginning, and how long it took.
    control_server.one("HDEL", key, "ended")
    control_server.one("HSET", key, "since", 1000 * (now_s - 500), "outcome", '{"seconds": 300}')
    seen = leadership.look(control_server, ended.record.run)
    assert seen is not None
    assert seen.idle_s == pytest.approx(200.0, abs=5.0)


def _wait_out(do: Callable[[], object]) -> None:
    """Do it as soon as nobody coordinates the run any more."""
    for _ in range(400):
        try:
            do()
        except RunTaken:
            continue
        return
    raise AssertionError("the lease did not run out")
