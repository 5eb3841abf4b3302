"""What is only tried on parameter servers has an end, whoever is killed meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import COUNTED, TRIAL_S
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.trial import trial_name, tried
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.worker_tasks.link_speed import Way

LAYOUT = Layout.plan([TensorSpec("w", (40,))], n_servers=2, block_numbers=8, n_shards=4)
GRADIENT = np.ones(40)


def ends(servers: Servers, pattern: str) -> dict[str, int]:
    """Milliseconds that each key has left; -1 for ever."""
    found = {}
    for server in range(len(servers)):
        for key in servers.one("KEYS", pattern, server=server):
            found[key.decode()] = servers.one("PTTL", key, server=server)
    return found


def check_all_end(servers: Servers, name: str, expected: set[str]) -> None:
    left = ends(servers, f"ps:{{{name}/*")
    assert {key.rpartition("}:")[2] for key in left} == expected
    assert all(0 < each <= 1000 * TRIAL_S for each in left.values()), left


def test_shards_that_are_tried_end_by_themselves_after_every_kind_of_change(
    servers: Servers,
) -> None:
    rule, name = build_rule(RunConfig()), trial_name()
    parameters = RedisParameterStore(servers, name, LAYOUT, rule, fence=1)
    with tried(parameters) as store:
        store.push(Token(1, 0, 1), 1, GRADIENT.astype(np.float32), fetch=True)
        check_all_end(servers, name, {"meta", "params", "slot:adagrad"})
    assert not ends(servers, f"ps:{{{name}/*")

    other = trial_name()
    with tried(RedisVectorStore(servers, other, LAYOUT, fence=1)) as vectors:
        vectors.begin(1, "vec:sum")
        vectors.accumulate(1, 1, "vec:sum", 0, GRADIENT)
        vectors.expire("vec:sum")
        vectors.accumulate(1, 1, "vec:sum", 1, GRADIENT)
        check_all_end(servers, other, {"meta", "params", COUNTED, "vec:sum"})
        vectors.drop("vec:sum")
    assert not ends(servers, f"ps:{{{other}/*")


def test_bytes_by_which_a_link_is_measured_end_if_nobody_clears_them(servers: Servers) -> None:
    name = trial_name()
    way = Way(servers, name, "link:0", range(len(servers)))
    way.there_and_back(300_000)
    way.there_and_back(600_000)
    check_all_end(servers, name, {"link:0"})
    way.clear()
    assert not ends(servers, f"ps:{{{name}/*")


def test_where_keys_may_be_given_no_end_all_is_measured_and_removed_as_well(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By users with the rights of before."""
    call: Callable[..., object] = servers.call

    def refusing(commands: list[object], *more: object, **words: object) -> object:
        if any("PEXPIRE" in getattr(each, "arguments", ()) for each in commands):
            raise ServerRefused("NOPERM this user has no permissions to run the 'pexpire' command")
        return call(commands, *more, **words)

    monkeypatch.setattr(servers, "call", refusing)
    name = trial_name()
    way = Way(servers, name, "link:0", [0])
    assert min(way.there_and_back(1000)) > 0
    assert set(ends(servers, f"ps:{{{name}/*").values()) == {-1}
    way.clear()
    with tried(RedisVectorStore(servers, name, LAYOUT, fence=1)):
        assert set(ends(servers, f"ps:{{{name}/*").values()) == {-1}
    assert not ends(servers, f"ps:{{{name}/*")
