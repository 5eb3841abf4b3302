"""Arrays that are handed over in shared memory give the bits that those on the socket give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import redis

from distbelief.app.client import segments, shared
from distbelief.app.client.commands import Reply
from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.servers import Servers
from distbelief.app.client.shared import Handover
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.parameters import Answer, Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer

SIZE = 3_000
TOKEN = Token(fence=1, stream=0, attempt=1)
RULE = Adagrad(0.1, epsilon=1e-10, initial_accumulator=0.1)
DENSE = Layout.plan([TensorSpec("w", (SIZE,))], n_servers=1, block_numbers=256)
TABLE = Layout(
    (TensorSpec("bias", (3,)), TensorSpec("table", (100, 8), sparse=True, spread=0.25)),
    *(1, 2),
    n_servers=1,
    n_table_shards=1,
    seed=7,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "arrays"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def server(program: ServerProgram, native_module: Path, folder: Path) -> Iterator[PrivateServer]:
    options = ["--loadmodule", str(native_module), "shared", str(folder), "--appendonly", "yes"]
    with PrivateServer(program, options=options) as server:
        yield server


@pytest.fixture
def sharing(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """A client that hands over what there is."""
    monkeypatch.setattr(shared, "LEAST_BYTES", 1)
    with closing(Servers([server.url], deadline_s=20.0)) as servers:
        servers.choices = [Choice(Engine.NATIVE)]
        yield servers


@pytest.fixture
def sending(server: PrivateServer) -> Iterator[Servers]:
    """One that has everything computed in Lua, so nothing is handed over."""
    with closing(Servers([server.url], deadline_s=20.0)) as servers:
        yield servers


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many arrays each exchange handed over."""
    found: list[int] = []
    pieces = Handover.pieces

    def counting(self: Handover, *arguments: object) -> object:
        found.append(len(self.places))
        return pieces(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Handover, "pieces", counting)
    return found


def trained(servers: Servers, run: str, wire: Wire, kind: str) -> list[bytes]:
    """All that a store answers in some exchanges."""
    store = RedisParameterStore(servers, run, DENSE, RULE, np.dtype(kind), fence=1)
    random = np.random.default_rng(0)
    store.create(random.normal(size=SIZE))
    answers: list[bytes] = []
    for sequence in (1, 2, 2, 3):
        gradient = random.normal(size=SIZE)
        gradient[7] = np.nan if sequence == 3 else 1
        pushed = store.push(TOKEN, sequence, gradient, fetch=sequence != 1, wire=wire)
        fetched = store.fetch(wire=wire)
        answers += [repr(pushed.answers).encode(), pushed.positions.clocks.tobytes()]
        answers += [b"" if pushed.fresh is None else pushed.fresh.tobytes()]
        answers += [fetched.vector.tobytes(), fetched.positions.clocks.tobytes()]
    return answers


@pytest.mark.parametrize(
    ("wire", "kind"),
    [("float32", "f"), ("float32", "d"), ("bfloat16", "f"), ("int8", "f")],
)
def test_pushes_and_fetches_give_the_same_bits(
    sharing: Servers, sending: Servers, handed: list[int], wire: Wire, kind: str
) -> None:
    ours = trained(sharing, "a", wire, kind)
    assert handed == [DENSE.n_shards] * 8
    assert ours == trained(sending, "b", wire, kind)


def test_rows_and_portions_are_handed_over_and_an_append_only_file_has_them_in_it(
    server: PrivateServer, sharing: Servers, sending: Servers, folder: Path, handed: list[int]
) -> None:
    def stored(servers: Servers, run: str) -> list[bytes]:
        portions = RedisVectorStore(servers, f"{run}-portions", DENSE, fence=1)
        portions.create(np.zeros(SIZE))
        portions.begin(1, "sum")
        portions.accumulate(1, 1, "sum", 0, np.arange(SIZE, dtype=np.float64))
        rows = RedisParameterStore(servers, f"{run}-rows", TABLE, RULE, fence=1)
        rows.create(np.zeros(TABLE.size))
        gradient = np.random.default_rng(0).normal(size=(30, 8))
        rows.push(TOKEN, 1, np.zeros(TABLE.size), rows=[TableRows(np.arange(30), gradient)])
        return held(servers, run)

    def held(servers: Servers, run: str) -> list[bytes]:
        portions = RedisVectorStore(servers, f"{run}-portions", DENSE, fence=1)
        rows = RedisParameterStore(servers, f"{run}-rows", TABLE, RULE, fence=1)
        found = rows.fetch(rows=[np.arange(40)])
        return [portions.fetch("sum").vector.tobytes(), found.tables[0].tobytes()]

    before = stored(sharing, "a")
    assert handed == [1, 2, 1], "a portion; dense numbers and rows; the sum of portions"
    assert before == stored(sending, "b")
    server.kill()
    server.start()
    assert held(sharing, "a") == before
    sharing.close()
    assert not list(folder.iterdir())


def test_a_segment_that_is_gone_is_missed_before_anything_changes(
    sharing: Servers, sending: Servers, folder: Path, handed: list[int]
) -> None:
    store = RedisParameterStore(sharing, "a", DENSE, RULE, fence=1)
    store.create(np.zeros(SIZE))
    store.push(TOKEN, 1, np.ones(SIZE))
    for path in folder.iterdir():
        path.unlink()
    assert store.push(TOKEN, 2, np.ones(SIZE), fetch=True).answers == (Answer.APPLIED,)
    assert sharing.shared_folder() is None
    store.fetch()
    assert handed == [1, 1]
    other = RedisParameterStore(sending, "b", DENSE, RULE, fence=1)
    other.create(np.zeros(SIZE))
    for sequence in (1, 2):
        other.push(TOKEN, sequence, np.ones(SIZE))
    np.testing.assert_array_equal(store.fetch().vector, other.fetch().vector)


def test_a_segment_of_an_exchange_that_broke_is_never_used_again(
    sharing: Servers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisParameterStore(sharing, "a", DENSE, RULE, fence=1)
    store.create(np.zeros(SIZE))
    store.fetch()
    (used,) = folder.iterdir()
    taken = Handover.taken

    def broken(self: Handover, index: int, reply: Reply) -> Reply:
        monkeypatch.setattr(Handover, "taken", taken)
        raise redis.ConnectionError("cut off")

    monkeypatch.setattr(Handover, "taken", broken)
    assert not store.fetch().vector.any()
    assert not used.exists()
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("reason", ["another boot", "no room", "a folder of others", "no right"])
def test_who_cannot_share_goes_over_the_socket_without_a_word(
    sharing: Servers, handed: list[int], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    match reason:
        case "another boot":
            monkeypatch.setattr(segments, "boot", lambda: b"another")
        case "no room":
            monkeypatch.setattr(os, "posix_fallocate", fail)
        case "a folder of others":
            monkeypatch.setattr(segments, "lock", fail)
        case "no right":
            sharing.one("ACL", "SETUSER", "default", "-distbelief.shared")
    assert sharing.shared_folder() is None
    store = RedisParameterStore(sharing, "a", DENSE, RULE, fence=1)
    store.create(np.ones(SIZE))
    assert store.fetch().vector.all()
    assert handed == []


def test_a_server_without_a_folder_shares_none(program: ServerProgram, native_module: Path) -> None:
    with (
        PrivateServer(program, options=["--loadmodule", str(native_module)]) as server,
        closing(Servers([server.url])) as servers,
    ):
        servers.choices = [Choice(Engine.NATIVE)]
        assert servers.shared_folder() is None


def test_a_forked_process_hands_over_in_files_of_its_own(sharing: Servers, folder: Path) -> None:
    """Its parent's it leaves alone, also when it ends."""
    store = RedisParameterStore(sharing, "forking", DENSE, RULE, np.dtype("f"), fence=1)
    store.create(np.arange(SIZE, dtype=np.float64))
    store.fetch()
    (before,) = folder.iterdir()
    child = os.fork()
    if child == 0:
        fetched = store.fetch().vector
        sharing.close()
        others = {each for each in folder.iterdir() if each != before}
        os._exit(0 if fetched[-1] == SIZE - 1 and not others and before.exists() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [*folder.iterdir()] == [before]
    assert store.fetch().vector.tolist() == [*range(SIZE)]
