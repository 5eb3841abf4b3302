"""Whatever a stranger puts in a key of a run ends nobody without a word: it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    ConfigError,
    DistBeliefError,
    Fenced,
    KeyDamaged,
    ModelMissing,
    RunDamaged,
)
from distbelief.app.layout.keys import control
from distbelief.app.runs import batch, blobs, events, leadership, offers
from distbelief.app.runs.batch import BatchEvaluation, Report
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.app.runs.offers import Offer, Shift
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.cluster import binaries
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing

RUN = "run"
FENCE = 1
KEYS = (
    *("record", "state", "events", "units", "deposits", "wakeup", "portions"),
    *("unit:open", "unit:mine", "unit:failed", "unit:done", "evaluation:1"),
)
VALUES = [b"", b"x", b"[]", b"{}", b"null", b"-7", b"1e300", b"\xff", b"[" * 100_000]

#: How to put something of each type under a key.
TYPES: Mapping[str, tuple[Any, ...]] = {
    "string": ("SET", "{key}", "x"),
    "list": ("RPUSH", "{key}", "x"),
    "set": ("SADD", "{key}", "x", b"\xff"),
    "hash": ("HSET", "{key}", "x", "y"),
    "zset": ("ZADD", "{key}", 1, "x"),
    "stream": ("XADD", "{key}", "*", "x", "y"),
}

#: Answers that a run may give in any case.
NORMAL = (Fenced, ModelMissing, ConfigError)

MINE = Claim("mine", FENCE, 1, 10.0, {})
EVALUATION = BatchEvaluation(1, FENCE, "vec:x", "vec:g", 3, 0.5, ((1, 2),))

Do = Callable[[Servers, Ledger, RunRecord], object]

CALLS: Mapping[str, Do] = {
    "look": lambda s, _, r: leadership.look(s, RUN),
    "read_run": lambda s, _, r: leadership.read_run(s, RUN, FENCE),
    "keep": lambda s, _, r: leadership.keep(s, RUN, "me", {}, FENCE),
    "commit": lambda s, _, r: leadership.commit(s, RUN, FENCE, {}),
    "committed": lambda s, _, r: leadership.committed(s, RUN),
    "lead": lambda s, _, r: leadership.lead(s, r, Claimant("other", "there", 1), 10.0),
    "take over": lambda s, _, r: leadership.lead(
        s, r, Claimant("other", "there", 1), 10.0, take_over=True
    ),
    "discard": lambda s, _, r: leadership.discard(s, RUN),
    "stop": lambda s, _, r: leadership.ask_to_stop(s, RUN),
    "close": lambda s, _, r: leadership.close(s, RUN, "me", RunState.STOPPED, {}),
    "submit": lambda _, ledger, r: ledger.submit("new", {"subset": 1}, 10.0, FENCE),
    "claim": lambda _, ledger, r: ledger.claim("open", "me"),
    "claim again": lambda _, ledger, r: ledger.claim("mine", "me"),
    "renew": lambda _, ledger, r: ledger.renew(MINE),
    "finish": lambda _, ledger, r: ledger.finish(MINE, UnitState.DONE, {}),
    "release": lambda _, ledger, r: ledger.release(MINE),
    "wait": lambda _, ledger, r: ledger.wait(0.001),
    "read": lambda _, ledger, r: [
        each.failure
        for each in ledger.read(["open", "mine", "failed", "done"]).values()
        if each.state is UnitState.FAILED
    ],
    "clear": lambda _, ledger, r: ledger.clear(),
    "announce": lambda s, _, r: batch.announce(s, RUN, EVALUATION),
    "find": lambda s, _, r: batch.find(s, RUN, 1),
    "tell": lambda s, _, r: s.call(batch.telling(RUN, Report(1, 1, 0, 0, "me"))),
    "offer": lambda s, _, r: s.call(offers.offering(RUN, FENCE, [[Offer(1, 0, 0)]])),
    "take": lambda s, _, r: s.call(offers.taking(Shift(RUN, FENCE, 1), 0.001)),
    "find offers": lambda s, _, r: offers.find(s, RUN, FENCE, [1]),
    "collect": lambda s, _, r: batch.collect(s, RUN, 0.001),
    "put": lambda s, _, r: blobs.put(s, RUN, MINE, b"blob"),
    "blobs": lambda s, _, r: blobs.read(s, RUN, ["mine", "other"]),
    "append": lambda s, _, r: events.append(s, RUN, "unit", unit="mine"),
    "events": lambda s, _, r: [*events.read(s, RUN)],
}


@dataclass
class Place:
    """A server with one run on it, which can be put back to what it was."""

    servers: Servers
    record: RunRecord
    ledger: Ledger
    dumps: dict[str, bytes]

    def restore(self, *then: tuple[Any, ...]) -> None:
        commands: list[tuple[Any, ...]] = [("FLUSHALL",)]
        commands += [("RESTORE", key, 0, dump) for key, dump in self.dumps.items()]
        self.servers.call([Command(0, each) for each in [*commands, *then]])


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(existing(binaries.bundled())) as server:
        yield server


@pytest.fixture
def place(server: PrivateServer, record: RunRecord) -> Iterator[Place]:
    """A run with a unit of each state, an evaluation, reports and events."""
    record = RunRecord(**{**record.__dict__, "run": RUN})
    with connected(server.url) as servers:
        servers.one("FLUSHALL")
        assert leadership.lead(servers, record, Claimant("me", "here", 17), 60.0) == FENCE
        ledger = Ledger(servers, RUN)
        for unit in ("mine", "failed", "done", "open"):
            ledger.submit(unit, {"subset": 0, "start": 0, "stop": 4}, 60.0, FENCE)
        claims = [ledger.claim(unit, "me") for unit in ("mine", "failed", "done")]
        assert all(claims)
        blobs.put(servers, RUN, MINE, b"blob")
        assert claims[1] is not None
        assert claims[2] is not None
        ledger.finish(claims[1], UnitState.FAILED, {"error": "no", "traceback": "", "worker": "w"})
        ledger.finish(claims[2], UnitState.DONE, {"steps": 4})
        leadership.commit(servers, RUN, FENCE, {"seconds": 1.0})
        batch.announce(servers, RUN, EVALUATION)
        servers.call(batch.telling(RUN, Report(1, 1, 0, 0, "me")))
        two = [[Offer(1, 0, 0)], [Offer(1, 1, 0)]]
        servers.call(offers.offering(RUN, FENCE, two))
        servers.call(offers.taking(Shift(RUN, FENCE, 1), 0.1))
        events.append(servers, RUN, "unit", unit="mine")
        keys = [control(RUN, key) for key in KEYS]
        dumps = servers.call([Command(0, ("DUMP", key)) for key in keys])
        yield Place(servers, record, ledger, dict(zip(keys, dumps, strict=True)))


def tried(place: Place, key: str, what: object, *odd: tuple[Any, ...]) -> int:
    """Do everything to the run with something odd in it; how often somebody complained of it."""
    complaints = 0
    for name, do in CALLS.items():
        place.restore(*odd)
        failure = failure_of(lambda do=do: do(place.servers, place.ledger, place.record))  # type: ignore[misc]
        if isinstance(failure, RunDamaged | KeyDamaged):
            told = key in str(failure) or f"run {RUN} was written in format" in str(failure)
            assert told, f"{name} with {what}: {failure}"
            complaints += 1
        else:
            assert failure is None or isinstance(failure, NORMAL), f"{name} with {what}: {failure}"
    return complaints


def failure_of(do: Callable[[], object]) -> DistBeliefError | None:
    try:
        do()
    except DistBeliefError as error:
        return error
    return None


def test_nothing_complains_of_a_run_as_it_is_written(place: Place) -> None:
    assert not tried(place, "", "nothing odd")


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_a_foreign_type_is_named(place: Place, name: str) -> None:
    key = control(RUN, name)
    own = place.servers.one("TYPE", key).decode()
    for kind, words in TYPES.items():
        if kind != own:
            put = tuple(key if word == "{key}" else word for word in words)
            assert tried(place, key, kind, ("DEL", key), put), kind


@pytest.mark.parametrize("name", ["record", "unit:mine", "unit:failed"])
def test_an_odd_field_is_named_or_does_not_matter(place: Place, name: str) -> None:
    key = control(RUN, name)
    for field in place.servers.one("HKEYS", key):
        odd = [tried(place, key, (field, value), ("HSET", key, field, value)) for value in VALUES]
        if field in (b"state", b"document", b"expires", b"tries"):
            assert any(odd), field
        tried(place, key, field, ("HDEL", key, field))


@pytest.mark.parametrize("name", ["state", "evaluation:1"])
def test_an_odd_text_is_named(place: Place, name: str) -> None:
    key = control(RUN, name)
    for value in VALUES:
        place.restore()
        assert tried(place, key, value, ("SET", key, value)) or value == b"{}", value


def test_a_unit_of_an_unknown_state_is_named_with_it(place: Place) -> None:
    place.restore(("HSET", control(RUN, "unit:done"), "state", "dancing"))
    with pytest.raises(RunDamaged, match=r"dist:run:\{run\}:unit:done is not as .*dancing"):
        place.ledger.read(["open", "done"])


def test_a_run_that_does_not_run_under_its_coordinators_fence_is_named(place: Place) -> None:
    for field, value in (("fence", "x"), ("fence", "7"), ("state", "dancing")):
        place.restore(("HSET", control(RUN, "record"), field, value))
        with pytest.raises(RunDamaged, match=f"'{value}'"):
            leadership.keep(place.servers, RUN, "me", {}, FENCE)
