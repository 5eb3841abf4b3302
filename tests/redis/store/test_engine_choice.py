"""Engines of real servers: found, refused, and lost while a client is at work."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import Answer, Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.native import library
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import usable

SIZE, WAIT_S = 20, 20.0
LAYOUT = Layout.plan([TensorSpec("w", (SIZE,))], n_servers=1, n_shards=2)
TOKEN = Token(fence=1, stream=0, attempt=1)
LOST = "it has lost the module"


def with_module(program: ServerProgram) -> PrivateServer:
    usable(Engine.NATIVE)
    return PrivateServer(program, options=("--loadmodule", str(library())))


def store_on(servers: Servers) -> RedisParameterStore:
    store = RedisParameterStore(servers, "run", LAYOUT, Adagrad(0.1), fence=1)
    assert store.create(np.ones(SIZE))
    return store


def native_calls(servers: Servers) -> int:
    told = servers.one("INFO", "commandstats").decode()
    return sum("distbelief.push_adagrad" in line for line in told.splitlines())


def test_a_server_with_the_module_is_used_through_it_and_one_without_through_lua(
    program: ServerProgram,
) -> None:
    with (
        with_module(program) as first,
        PrivateServer(program) as second,
        connected(first.url, second.url) as servers,
    ):
        choose_engines(servers, "auto", WAIT_S)
        assert servers.engines == (Engine.NATIVE, Engine.LUA)
        assert "not loaded" in servers.choices[1].why
        with pytest.raises(ServerRefused, match=r"--engine auto"):
            choose_engines(servers, "native", WAIT_S)
        choose_engines(servers, "lua", WAIT_S)
        assert servers.engines == (Engine.LUA, Engine.LUA)


def test_a_server_that_comes_back_without_the_module_goes_on_in_lua_and_it_is_said(
    program: ServerProgram, caplog: pytest.LogCaptureFixture
) -> None:
    with with_module(program) as server, connected(server.url) as servers:
        choose_engines(servers, "native", WAIT_S)
        native = store_on(servers)
        pushed = native.push(TOKEN, 1, np.ones(SIZE, np.float32), fetch=True)
        assert native_calls(servers) == 1
        server.kill()
        server._options = ()
        server.start()
        store = store_on(servers)
        with caplog.at_level(logging.WARNING):
            again = store.push(TOKEN, 1, np.ones(SIZE, np.float32), fetch=True)
        assert again.answers == (Answer.APPLIED, Answer.APPLIED)
        assert pushed.fresh is not None
        assert again.fresh is not None
        assert pushed.fresh.tobytes() == again.fresh.tobytes()
        assert servers.choices == [Choice(Engine.LUA, LOST)]
        assert caplog.text.count("has lost the native engine") == 1
