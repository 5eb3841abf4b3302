"""What the native engine changes is the same after a restart, on a replica, and under an ACL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis

from distbelief.app.client.engine import Engine
from distbelief.app.optimizers.rules.adam import Adam
from distbelief.app.store.redis.parameters import push_script
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer
from tests.redis.store.native.both_engines import ONLY_LUA, RULES, TWINS, Side
from tests.redis.store.native.random_calls import Calls

CALLS = 60
PATIENCE_MS = 20_000


@pytest.fixture
def options(native_module: Path) -> list[str]:
    return ["--loadmodule", str(native_module), "--repl-diskless-sync-delay", "0"]


def side(server: PrivateServer) -> Side:
    client = redis.Redis(unix_socket_path=str(server.socket))
    for script in [*TWINS, *ONLY_LUA]:
        client.script_load(script.source)
    return Side(client, Engine.NATIVE)


def trained(on: Side) -> dict[str, object]:
    """What the server holds after many calls of every kind; of the last rule is it."""
    for index, rule in enumerate(RULES.values()):
        on.client.flushall()
        calls = Calls(np.random.default_rng(index), rule, "fd"[index % 2])
        calls.on(on)
        calls.create()
        for kinds in (calls.pushes(), calls.operations()):
            for _ in range(CALLS):
                kinds[calls.random.integers(len(kinds))]()
    return on.contents()


def test_an_append_only_file_brings_back_the_same_bytes(
    program: ServerProgram, options: Sequence[str]
) -> None:
    with PrivateServer(program, options=[*options, "--appendonly", "yes"]) as server:
        on = side(server)
        held = trained(on)
        on.client.close()
        server.kill()
        server.start()
        assert side(server).contents() == held


def test_a_replica_has_the_same_bytes(program: ServerProgram, options: Sequence[str]) -> None:
    with (
        PrivateServer(program, options=options) as server,
        PrivateServer(program, options=options) as other,
    ):
        on, replica = side(server), side(other)
        replica.client.replicaof("127.0.0.1", server.port)
        assert on.client.wait(1, PATIENCE_MS) == 1
        held = trained(on)
        assert on.client.wait(1, PATIENCE_MS) == 1
        assert replica.contents() == held


@pytest.fixture
def on(program: ServerProgram, options: Sequence[str]) -> Iterator[Side]:
    with PrivateServer(program, options=options) as server:
        yield side(server)


#: Answers after which something may have changed; a vector that is REFUSED is not written.
CHANGING = ("[b'APPLIED'", "[b'REFUSED'", "b'COUNTED'", "[b'OK'", "b'OK'")


def test_only_what_changes_something_is_replicated(on: Side) -> None:
    def changes() -> int:
        return int(on.client.info("persistence")["rdb_changes_since_last_save"])

    calls, answers = Calls(np.random.default_rng(3), Adam(0.1), "f"), set()
    calls.on(on)
    calls.create()
    kinds = [*calls.pushes(), *calls.operations()]
    kinds = [kind for kind in kinds if kind != calls.raise_fence]
    for _ in range(4 * CALLS):
        before, held = changes(), on.contents()
        kinds[calls.random.integers(len(kinds))]()
        replicated, answer = changes() > before, str(calls.last.lua)
        answers.add(answer[:12])
        assert replicated or on.contents() == held
        if calls.last.script in ("dots", "sparsity") or not answer.startswith(CHANGING):
            assert not replicated, calls.last
    assert len(answers) > 2 * len(CHANGING)


def test_a_cluster_and_an_acl_know_the_keys_of_every_command(on: Side) -> None:
    for script in TWINS:
        words = [str(script.twin), 5, *"abcde", *range(15)]
        assert on.client.command_getkeys(*words) == list("abcde")


def test_who_may_not_touch_a_key_is_not_let_by_a_command(on: Side) -> None:
    on.client.acl_setuser(
        "worker", enabled=True, nopass=True, keys=["mine:*"], categories=["+@all"]
    )
    mine, theirs = ([f"{whose}:meta", f"{whose}:params"] for whose in ("mine", "theirs"))
    twin, arguments = str(push_script(RULES["sgd"]).twin), [1, 0, 1, 1, 0, "", "", "", 0.1, 0, ""]
    with redis.Redis(
        unix_socket_path=str(on.client.connection_pool.connection_kwargs["path"]), username="worker"
    ) as worker:
        assert worker.execute_command(twin, 2, *mine, *arguments)[0] == b"NOMODEL"
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.execute_command(twin, 2, *theirs, *arguments)
