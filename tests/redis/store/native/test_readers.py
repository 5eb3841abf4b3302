"""Commands of the native engine that only read say so: who may only read keys may call them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from distbelief.app.errors import ServerRefused
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer, connected

META, VECTOR, OUT = "ps:{run/0}:meta", "ps:{run/0}:params", "ps:{run/0}:vec:out"
DEPLOYED = Path(__file__).parents[4] / "deploy" / "parameters.acl"

#: A call of every reading command on a shard of one block, and how it begins its answer.
READS = {
    "fetch": (2, META, VECTOR, 0, 0, 0, 0, 0, ""),
    "dots": (2, META, VECTOR, 1, 0, 0, 0, 0, "1:1"),
    "sparsity": (2, META, VECTOR, 1, 0, 0, 0, 0, "0:2"),
}
#: Calls that would change a shard.
CHANGES = {
    "announce": (1, META, 1, 0, 1),
    "begin": (1, META, 1, 0, 1, 1),
    "combine": (3, META, OUT, VECTOR, 1, 0, 1, 0, 0, "1"),
    "push_sgd": (2, META, VECTOR, 0, 1, 1, "0", "", 0.1, 0),
}


@pytest.fixture
def server(program: ServerProgram, native_module: Path) -> Iterator[PrivateServer]:
    with PrivateServer(program, options=["--loadmodule", str(native_module)]) as server:
        yield server


@pytest.fixture
def as_reader(server: PrivateServer) -> Iterator[Callable[..., object]]:
    """Calls a command as the reader of deploy/, on a server that has a shard."""
    line = next(x for x in DEPLOYED.read_text().splitlines() if x.startswith("user reader "))
    rights = [word for word in line.split()[2:] if not word.startswith("#")]
    with redis.Redis(unix_socket_path=str(server.socket)) as admin:
        admin.hset(META, mapping={"clock": 3, "fence": 1, "dtype": "f"})
        admin.hset(VECTOR, "0", b"\0\0\x80?\0\0\0\0")
        admin.execute_command("ACL", "SETUSER", "reader", *rights, ">secret")
    with redis.Redis(
        unix_socket_path=str(server.socket), username="reader", password="secret"
    ) as reader:
        yield reader.execute_command


@pytest.mark.parametrize("command", READS)
def test_a_reader_may_call_what_only_reads(
    as_reader: Callable[..., list[object]], command: str
) -> None:
    assert as_reader(f"distbelief.{command}", *READS[command])[0] == b"OK"


@pytest.mark.parametrize("command", READS)
def test_a_reader_reads_no_keys_that_are_not_its_own(
    as_reader: Callable[..., object], command: str
) -> None:
    keys, meta, _, *arguments = READS[command]
    with pytest.raises(redis.exceptions.NoPermissionError, match="key"):
        as_reader(f"distbelief.{command}", keys, meta, "other", *arguments)


def test_a_reader_reads_with_scripts_where_there_is_no_module(
    server: PrivateServer, as_reader: Callable[..., object]
) -> None:
    url = server.url.replace("unix://", "unix://reader:secret@")
    layout = Layout((TensorSpec("w", (40,)),), block_numbers=10, n_shards=2, n_servers=1)
    with connected(server.url) as ours, connected(url) as theirs:
        ours.one("SCRIPT", "FLUSH")
        RedisVectorStore(ours, "run", layout, fence=1).create(np.arange(40.0))
        read = RedisVectorStore(theirs, "run", layout, fence=1)
        assert read.fetch("params").vector.tolist() == list(range(40))
        assert read.dots([("params", "params")]) == [sum(i * i for i in range(40))]
        with pytest.raises(ServerRefused, match="permission"):
            read.drop("params")


@pytest.mark.parametrize("command", CHANGES)
def test_a_reader_changes_nothing_even_where_it_may_call_all(
    server: PrivateServer, as_reader: Callable[..., object], command: str
) -> None:
    with redis.Redis(unix_socket_path=str(server.socket)) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "+@all")
        before = admin.hgetall(META), admin.hgetall(VECTOR), admin.exists(OUT)
        with pytest.raises(redis.exceptions.NoPermissionError, match="key"):
            as_reader(f"distbelief.{command}", *CHANGES[command])
        assert (admin.hgetall(META), admin.hgetall(VECTOR), admin.exists(OUT)) == before


def test_the_deployed_reader_may_call_exactly_the_commands_that_are_read_only(
    server: PrivateServer,
) -> None:
    reader = DEPLOYED.read_text().split("user reader ")[1].split()
    allowed = {word[1:] for word in reader if word.startswith("+distbelief.")}
    with redis.Redis(unix_socket_path=str(server.socket)) as admin:
        known = admin.command()
    ours = {name: each["flags"] for name, each in known.items() if name.startswith("distbelief.")}
    assert allowed == {name for name, flags in ours.items() if "readonly" in flags}
