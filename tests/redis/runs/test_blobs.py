"""Blobs of units on the control server: from whom, until when, and that nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import control
from distbelief.app.runs import blobs, leadership
from distbelief.app.runs.blobs import put
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.app.runs.record import KEEP_S, RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from tests.redis.private import connected

LONG_S, SHORT_S = 60.0, 0.001
FENCE = 1
DATA = bytes(range(256))


@pytest.fixture
def servers(
    cluster_of: Callable[[ServerProgram], LocalCluster], program: ServerProgram
) -> Iterator[Servers]:
    """A control server; fakeredis breaks off at bytes that are no text."""
    with connected(cluster_of(program).endpoints.broker) as clients:
        yield clients


@pytest.fixture
def ledger(servers: Servers, record: RunRecord) -> Ledger:
    """Of a run in which two units wait."""
    take(servers, record)
    ledger = Ledger(servers, record.run)
    for unit in ("one", "two"):
        ledger.submit(unit, {}, LONG_S, FENCE)
    return ledger


def take(servers: Servers, record: RunRecord, claimer: str = "me") -> None:
    leadership.lead(servers, record, Claimant(claimer, "here", 1), LONG_S, take_over=True)


def claimed(ledger: Ledger, unit: str, claimer: str = "me") -> Claim:
    claim = ledger.claim(unit, claimer)
    assert claim is not None
    return claim


def there(servers: Servers, run: str) -> bool:
    return bool(servers.one("EXISTS", control(run, "deposits")))


def test_what_was_laid_down_is_read_in_the_order_asked_for(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    for unit in ("one", "two"):
        put(servers, record.run, claimed(ledger, unit), unit.encode() + DATA)
    found = blobs.read(servers, record.run, ["two", "three", "one"])
    assert found == [b"two" + DATA, None, b"one" + DATA]


def test_a_blob_outlives_the_unit_that_reported_and_goes_when_cleared(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    put(servers, record.run, claim, DATA)
    assert ledger.finish(claim, UnitState.DONE, {})
    ledger.forget(["one"])
    assert blobs.read(servers, record.run, ["one"]) == [DATA]
    blobs.clear(servers, record.run)
    assert not there(servers, record.run)


def test_a_blob_may_be_put_again_before_the_report(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    for data in (b"old", DATA):
        put(servers, record.run, claim, data)
    assert blobs.read(servers, record.run, ["one"]) == [DATA]


def test_an_attempt_that_lost_its_unit_cannot_replace_what_the_next_one_found(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    ledger.submit("short", {}, SHORT_S, FENCE)
    first = claimed(ledger, "short", "first")
    while (second := ledger.claim("short", "second")) is None:
        pass  # until a millisecond has gone by on the server
    put(servers, record.run, second, DATA)
    with pytest.raises(Fenced, match="the lease on short was lost"):
        put(servers, record.run, first, b"late")
    assert blobs.read(servers, record.run, ["short"]) == [DATA]


def test_a_unit_that_has_reported_lays_nothing_more_down(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    assert ledger.finish(claim, UnitState.DONE, {})
    with pytest.raises(Fenced):
        put(servers, record.run, claim, DATA)
    assert not there(servers, record.run)


def test_a_late_task_of_an_abandoned_unit_leaves_nothing_behind(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    ledger.forget(["one"])
    blobs.clear(servers, record.run)
    with pytest.raises(Fenced):
        put(servers, record.run, claim, DATA)
    assert not there(servers, record.run)


def test_a_new_fence_shuts_out_the_tasks_of_the_old_one(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    take(servers, record, "another")
    with pytest.raises(Fenced):
        put(servers, record.run, claim, DATA)
    assert not there(servers, record.run)


def test_clearing_the_ledger_for_a_new_fence_takes_the_blobs_along(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    put(servers, record.run, claimed(ledger, "one"), DATA)
    ledger.clear()
    assert not there(servers, record.run)


def test_a_run_that_ended_takes_no_blobs(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    claim = claimed(ledger, "one")
    leadership.close(servers, record.run, "me", RunState.FINISHED, {})
    with pytest.raises(Fenced):
        put(servers, record.run, claim, DATA)
    assert not there(servers, record.run)


def test_blobs_that_nobody_takes_go_after_a_day(
    servers: Servers, record: RunRecord, ledger: Ledger
) -> None:
    put(servers, record.run, claimed(ledger, "one"), DATA)
    assert 0 < servers.one("TTL", control(record.run, "deposits")) <= KEEP_S
