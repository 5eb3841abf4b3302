"""A server without memory: nothing is half written, and the call goes on when there is some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from distbelief.app.client import servers as wire
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode, ModelMissing, ServerRefused
from distbelief.app.layout.keys import PARAMETERS, control
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.app.store.contract.parameters import Answer, Counted, Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from tests.redis.private import PrivateServer, connected, contents

RUN = "run"
LAYOUT = Layout((TensorSpec("w", (40,)),), block_numbers=10, n_shards=2, n_servers=1)
TOKEN = Token(fence=1, stream=0, attempt=1)
ONES = np.ones(40)
GRADIENT, POINT = "vec:gradient", "vec:point"
LEASE_S = 3600.0
PATIENCE_S = 60.0


def test_memory_that_stays_short_ends_the_call_with_what_to_do(private: PrivateServer) -> None:
    with connected(private.url, deadline_s=0.2) as servers:
        run = Run(servers)
        with (
            out_of_memory(servers),
            pytest.raises(
                ServerRefused,
                match=r"server\.sock.* is out of memory, still after 0\.2 s: raise its maxmemory, ",
            ) as raised,
        ):
            run.push()
    assert raised.value.exit_code is ExitCode.SERVER


def test_a_run_without_memory_is_not_half_created(private: PrivateServer) -> None:
    with connected(private.url, deadline_s=0.2) as servers:
        store = RedisParameterStore(servers, RUN, LAYOUT, Adagrad(0.1), fence=TOKEN.fence)
        with out_of_memory(servers):
            with pytest.raises(ServerRefused):
                store.create(ONES)
            assert contents(servers) == {}
            with pytest.raises(ModelMissing):
                store.counts()
        assert store.create(ONES)


class Run:
    """A run with parameters, vectors and units, in the middle of its work."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.store = RedisParameterStore(servers, RUN, LAYOUT, Adagrad(0.1), fence=TOKEN.fence)
        self.store.create(ONES)
        self.store.push(TOKEN, 1, ONES)
        self.vectors = RedisVectorStore(servers, RUN, LAYOUT, np.float32, fence=TOKEN.fence)
        self.vectors.begin(1, GRADIENT)
        self.vectors.accumulate(TOKEN.fence, 1, GRADIENT, 0, ONES)
        servers.one("HSET", control(RUN, "record"), "state", "running", "fence", TOKEN.fence)
        self.ledger = Ledger(servers, RUN)
        for unit in ("held", "free"):
            self.ledger.submit(unit, {}, LEASE_S, TOKEN.fence)
        held = self.ledger.claim("held", "me")
        assert held is not None
        self.held: Claim = held

    def push(self) -> object:
        return self.store.push(TOKEN, 2, ONES).answers

    def poisoned_push(self) -> object:
        return self.store.push(TOKEN, 2, np.full(40, np.nan)).answers

    def claimed(self) -> object:
        claim = self.ledger.claim("free", "you")
        return claim and claim.attempt


@dataclass(frozen=True)
class Write:
    """Something that writes, and what it answers in the end."""

    do: Callable[[Run], object]
    answer: object = None


WRITES = {
    "create": Write(
        lambda run: RedisParameterStore(run.servers, "new", LAYOUT, Adagrad(0.1), fence=1).create(
            ONES
        ),
        True,
    ),
    "announce": Write(
        lambda run: run.store.announce(Token(1, 0, attempt=2)).sequences.tolist(), [1, 1]
    ),
    "push": Write(Run.push, (Answer.APPLIED,) * 2),
    "refused push": Write(Run.poisoned_push, (Answer.REFUSED,) * 2),
    "fence": Write(lambda run: run.store.raise_fence(2)),
    "copy": Write(lambda run: run.store.copy(PARAMETERS, POINT)),
    "combine": Write(lambda run: run.vectors.combine(POINT, [(2.0, PARAMETERS)])),
    "portion": Write(
        lambda run: run.vectors.accumulate(1, 1, GRADIENT, 1, ONES), (Counted.COUNTED,) * 2
    ),
    "submit": Write(lambda run: run.ledger.submit("new", {}, LEASE_S, TOKEN.fence)),
    "claim": Write(Run.claimed, 2),
    "renew": Write(lambda run: run.ledger.renew(run.held), True),
    "finish": Write(lambda run: run.ledger.finish(run.held, UnitState.DONE, {"loss": 1}), True),
}


@pytest.mark.parametrize("name", WRITES)
def test_without_memory_nothing_is_written_and_with_memory_the_call_goes_on(
    private: PrivateServer,
    background: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(wire, "WAIT_WORTH_SAYING_S", 0.0)
    write, refused = WRITES[name], threading.Event()
    with connected(private.url) as plain, connected(private.url) as servers:
        run, before = Run(servers), contents(plain)
        servers.waiting = lambda words, _: refused.set() if "out of memory" in words else None
        with out_of_memory(plain):
            answer = background.submit(write.do, run)
            assert refused.wait(PATIENCE_S)
            assert contents(plain) == before
        assert answer.result(PATIENCE_S) == write.answer
        assert contents(plain) != before


def test_an_evaluation_begins_wholly_without_memory(private: PrivateServer) -> None:
    """Its script deletes first, which a server allows, and everything after that as well."""
    with connected(private.url) as servers:
        run = Run(servers)
        with out_of_memory(servers):
            run.vectors.begin(2, GRADIENT)
        assert run.vectors.counted(2) == [0, 0]
        assert run.vectors.accumulate(1, 2, GRADIENT, 0, ONES) == (Counted.COUNTED,) * 2
        assert run.vectors.fetch(GRADIENT).vector.tolist() == ONES.tolist()


@contextmanager
def out_of_memory(servers: Servers) -> Iterator[None]:
    servers.one("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        servers.one("CONFIG", "SET", "maxmemory", "0")
