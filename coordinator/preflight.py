"""Checks before training: each failure is one sentence and an exit code of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import numpy as np

from app.celery import DOWNPOUR, EVALUATION
from app.celery import app as celery_app
from app.errors import DistBeliefError, NoWorkers, ScriptSelfTestFailed, UnsafeEviction
from app.layout import Layout, TensorSpec
from app.optimizers.rule import Rule
from app.runs.ledger import Ledger
from app.store.contract import Token
from app.store.memory import MemoryParameterStore
from app.store.parameters import RedisParameterStore
from app.store.servers import Servers

PING_S = 1.0
#: Numbers in the self-test: more than one run of the scripts' unpacking, and a rest.
SELF_TEST_NUMBERS = 600


def check_servers(servers: Servers, timeout_s: float) -> None:
    """Every server answers and keeps what it is given.

    Raises:
        ServerUnreachable, AuthenticationFailed: it does not answer us.
        UnsafeEviction: under memory pressure it would throw parameters away.
    """
    for index, address in enumerate(servers.addresses):
        servers.one("PING", server=index, timeout_s=timeout_s)
        info = servers.one("INFO", "memory", server=index, timeout_s=timeout_s)
        # redis-py does not parse here: the reply is text, one field:value a line.
        fields = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        policy = fields.get("maxmemory_policy", "noeviction")
        # The volatile policies touch only keys that expire, and ours never do.
        if policy.startswith("allkeys"):
            raise UnsafeEviction(
                f"{address} has maxmemory-policy {policy}, which may throw parameters away: "
                "set it to noeviction"
            )


def check_scripts(servers: Servers, rule: Rule) -> None:
    """Every parameter server computes ``rule`` to the bit as its NumPy twin does.

    Raises:
        ScriptSelfTestFailed: it does not (no Lua, another number format, ...).
        ServerRefused: it does not run scripts at all.
    """
    for index, address in enumerate(servers.addresses):
        try:
            same = _same_bits(servers.only(index), rule)
        except DistBeliefError as error:
            raise ScriptSelfTestFailed(f"{address} failed the script self-test: {error}") from error
        if not same:
            raise ScriptSelfTestFailed(
                f"{address} computes {rule.name} differently from this program: "
                "use Redis 7.0 or Valkey 7.2 or newer"
            )


def check_control(servers: Servers) -> None:
    """The control server runs the ledger's scripts.

    Raises:
        ScriptSelfTestFailed: it does not.
    """
    try:
        Ledger(servers, f"self-test-{uuid.uuid4().hex[:8]}").claim("none", "nobody")
    except DistBeliefError as error:
        raise ScriptSelfTestFailed(
            f"{servers.addresses[0]} failed the script self-test: {error}"
        ) from error


def wait_for_workers(timeout_s: float, broker: str) -> int:
    """At least one worker listens on the queues that a run needs; how many do.

    Raises:
        NoWorkers: none within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    needed = {DOWNPOUR, EVALUATION}
    while True:
        answers = celery_app.control.inspect(timeout=PING_S).active_queues() or {}
        served = [{queue["name"] for queue in queues} for queues in answers.values()]
        if served and needed <= set().union(*served):
            return len(served)
        if time.monotonic() > deadline:
            idle = f" ({len(served)} workers listen on other queues)" if served else ""
            raise NoWorkers(
                f"no worker listens on the queues {' and '.join(sorted(needed))} of {broker} "
                f"after {timeout_s:g} s{idle}: start one with 'celery -A app worker'"
            )


def _same_bits(servers: Servers, rule: Rule) -> bool:
    layout = Layout.plan(
        [TensorSpec("self-test", (SELF_TEST_NUMBERS,))], n_servers=1, block_numbers=500
    )
    stores: Sequence[RedisParameterStore | MemoryParameterStore] = (
        RedisParameterStore(servers, f"self-test-{uuid.uuid4().hex[:8]}", layout, rule),
        MemoryParameterStore(layout, rule),
    )
    rng = np.random.default_rng(0)
    parameters, gradient = rng.normal(size=(2, SELF_TEST_NUMBERS))
    results = []
    try:
        for store in stores:
            store.create(1, parameters)
            store.push(Token(1, 0, 1), 1, gradient)
            results.append(store.fetch().vector)
    finally:
        stores[0].delete()
    return np.array_equal(results[0], results[1])
