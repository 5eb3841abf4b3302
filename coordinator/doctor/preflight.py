"""Checks before training: each failure is one sentence and an exit code of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np

from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    DistBeliefError,
    NoWorkers,
    ScriptSelfTestFailed,
    ServerError,
    UnsafeEviction,
)
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.ledger import Ledger
from distbelief.app.runs.roster import shown
from distbelief.app.settings.config import RunConfig, Stage
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.parameters import ParameterStore, Token
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.shards import RedisShards
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.doctor import support
from distbelief.coordinator.doctor.introductions import (
    code_objection,
    introduce,
    server_objections,
)
from distbelief.coordinator.runs.messages import ANSWER_S, Messages

#: Numbers in the self-test: more than one run of the scripts' unpacking, and a rest.
SELF_TEST_NUMBERS = 600
FENCE = 1

#: How long workers have to answer the first question; each time twice as long.
FIRST_ANSWER_S = 0.25

#: How often the roster is looked at while nobody is on it.
POLL_S = 0.05

#: So many workers that are heard of no more are named.
MOST_NAMED = 5


def check_servers(
    servers: Servers, timeout_s: float, say: Callable[[str], None], *, parameters: bool
) -> None:
    """Check that every server answers, is one that we can use, and keeps what it is given.

    What a server does not let us see is said, and no reason to refuse it. ``parameters`` tells
    parameter servers from the control server.

    Raises:
        ServerUnreachable, AuthenticationFailed: it does not answer us.
        ServerError: it is too old, or runs in cluster mode.
        UnsafeEviction: under memory pressure it would throw parameters away.
    """
    for index in range(len(servers)):
        servers.one("PING", server=index, timeout_s=timeout_s)
    nodes = [part for index in range(len(servers)) for part in servers.parts(index)]
    for node in nodes:
        address, info = node.addresses[0], support.look(node, 0, timeout_s)
        if info is None:
            say(
                f"{address} does not let us ask INFO: whether it is new enough, and whether it may "
                "evict parameters, was not checked"
            )
            continue
        why = support.unfit(info, parameters=parameters, clustered=node.is_cluster())
        if why is not None:
            raise ServerError(f"{address} cannot be used, {why[0]}: {why[1]}")
        check_eviction(address, info)


def check_eviction(address: str, info: Mapping[str, str]) -> None:
    """Raise UnsafeEviction if a server would throw parameters away under memory pressure."""
    policy = info.get("maxmemory_policy", "noeviction")
    # The volatile policies touch only keys that expire, and ours never do.
    if policy.startswith("allkeys"):
        raise UnsafeEviction(
            f"{address} has maxmemory-policy {policy}, which may throw parameters away: "
            "set it to noeviction"
        )


def check_scripts(servers: Servers, config: RunConfig) -> None:
    """Check that every parameter server computes to the bit what its NumPy twin does.

    Raises:
        ScriptSelfTestFailed: it does not (no Lua, another number format, ...).
        ServerRefused: it does not run scripts at all.
    """
    for index, address in enumerate(servers.addresses):
        try:
            same = all(_same_bits(servers.only(index), config, each) for each in config.stages)
        except DistBeliefError as error:
            raise ScriptSelfTestFailed(f"{address} failed the script self-test: {error}") from error
        if not same:
            raise ScriptSelfTestFailed(
                f"{address} computes {config.algorithm} differently from this program: "
                "use Redis 7.0 or Valkey 7.2 or newer"
            )


def check_control(servers: Servers) -> None:
    """Check that the control server runs the ledger's scripts.

    Raises:
        ScriptSelfTestFailed: it does not.
    """
    try:
        Ledger(servers, f"self-test-{uuid.uuid4().hex[:8]}").claim("none", "nobody")
    except DistBeliefError as error:
        raise ScriptSelfTestFailed(
            f"{servers.addresses[0]} failed the script self-test: {error}"
        ) from error


def wait_for_workers(
    messages: Messages,
    kinds: Set[str],
    timeout_s: float,
    check: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Wait until workers listen on the queues of all kinds of work: the names of those that do.

    A name that several workers have is there as often. ``check`` is called meanwhile, and raises
    if there is nothing to wait for; ``say`` is told once that they are waited for.

    Raises:
        NoWorkers: not within ``timeout_s``.
        ServerUnreachable: the broker does not answer.
    """
    needed = {queue for kind in kinds if (queue := messages.queue_of(kind)) is not None}
    deadline, answer_s, asked = time.monotonic() + timeout_s, FIRST_ANSWER_S, 0
    while True:
        served = messages.queues_served(answer_s)
        answer_s = min(2 * answer_s, ANSWER_S)
        if served and needed <= set().union(*(queues for _, queues in served)):
            return sorted(name for name, queues in served if queues & needed or not needed)
        check()
        if asked == 0:
            say(f"waiting up to {timeout_s:g} s for workers on {' and '.join(sorted(needed))}")
        asked += 1
        if time.monotonic() > deadline:
            idle = f" ({len(served)} workers listen on other queues)" if served else ""
            where = f"the queues {' and '.join(sorted(needed))} of " if needed else ""
            raise NoWorkers(
                f"no worker listens on {where}{messages.address} after {timeout_s:g} s{idle}: "
                f"start one with '{start_command(messages.celery_app, needed)}'"
            )
        if not served:
            time.sleep(POLL_S)


def tell_silent(messages: Messages, say: Callable[[str], None]) -> None:
    """Name the workers that were there within the last hour, and are heard of no more.

    Raises ServerError if the control server does not answer.
    """
    names = sorted(map(shown, messages.seen().silent))
    if not names:
        return
    others = f" and {len(names) - MOST_NAMED} others" if len(names) > MOST_NAMED else ""
    say(
        f"no sign of life of {', '.join(names[:MOST_NAMED])}{others}: it begins without, and takes "
        "them up when they are back. Is a host cut off? (If they were killed, all is well.)"
    )


def start_command(celery_app: str | None, queues: Set[str]) -> str:
    """The command that starts a worker for these queues."""
    if celery_app is None:
        return "celery -A distbelief worker"
    if not queues:
        return f"celery -A {celery_app} worker"
    return f"celery -A {celery_app} worker -Q {','.join(['celery', *sorted(queues - {'celery'})])}"


def check_workers(
    messages: Messages,
    servers: Servers,
    workers: Sequence[str],
    expected: Identity,
    say: Callable[[str], None],
) -> None:
    """Check that ``workers`` have our code, and the parameter servers in our order.

    One that does not answer is looked at when it takes its first unit; ``say`` is told of servers
    that take no mark.

    Raises:
        WorkerMismatch: other code, other servers, or another order of them.
        ServerUnreachable, AuthenticationFailed: a worker does not reach a server.
    """
    answers, marked = introduce(messages, servers, workers)
    for name, answer in sorted(answers.items()):
        found: list[DistBeliefError | None] = [code_objection(name, answer, expected)]
        found += server_objections(name, answer, servers.addresses, marked)
        for objection in found:
            if objection is not None:
                raise objection
    if unmarked := [each for index, each in enumerate(servers.addresses) if index not in marked]:
        say(
            f"warning: whether workers find {', '.join(unmarked)} in the same order could not be "
            "seen: let its user SET keys (deploy/parameters.acl)"
        )


def _same_bits(servers: Servers, config: RunConfig, stage: Stage) -> bool:
    """Let a server and this process do the same small piece of work, and compare."""
    layout = Layout.plan(
        [TensorSpec("self-test", (SELF_TEST_NUMBERS,))], n_servers=1, block_numbers=500
    )
    run = f"self-test-{uuid.uuid4().hex[:8]}"
    parameters, gradient = np.random.default_rng(0).normal(size=(2, SELF_TEST_NUMBERS))
    if stage == "downpour":
        rule = shard_rule(config)
        pushed = (
            RedisParameterStore(servers, run, layout, rule, config.dtype, fence=FENCE),
            MemoryParameterStore(layout, rule, config.dtype, fence=FENCE),
        )
        return _equal([_push(store, parameters, gradient, config.wire) for store in pushed])
    vectors = (
        RedisVectorStore(servers, run, layout, config.dtype, fence=FENCE),
        MemoryVectorStore(layout, config.dtype, fence=FENCE),
    )
    return _equal([_accumulate(store, parameters, gradient) for store in vectors])


def _create(store: ParameterStore | VectorStore, parameters: Vector) -> None:
    store.create(parameters)
    if isinstance(store, RedisShards):
        store.expire()


def _push(store: ParameterStore, parameters: Vector, gradient: Vector, wire: Wire) -> Vector:
    try:
        _create(store, parameters)
        store.push(Token(FENCE, 0, 1), 1, gradient, wire=wire)
        return np.concatenate([store.fetch(wire=each).vector for each in ("float32", wire)])
    finally:
        store.delete()


def _accumulate(store: VectorStore, parameters: Vector, gradient: Vector) -> Vector:
    try:
        _create(store, parameters)
        store.begin(1, "vec:gradient")
        store.accumulate(FENCE, 1, "vec:gradient", 0, gradient)
        store.combine("vec:sum", [(0.3, PARAMETERS), (-0.7, "vec:gradient")])
        store.orthant_step("vec:step", PARAMETERS, "vec:gradient", "vec:sum", 0.5)
        store.pseudo_gradient("vec:end", "vec:step", "vec:gradient", 0.5)
        return np.concatenate([store.fetch(name).vector for name in ("vec:sum", "vec:end")])
    finally:
        store.drop("vec:gradient", "vec:sum", "vec:step", "vec:end")
        store.delete()


def _equal(results: Sequence[Vector]) -> bool:
    return np.array_equal(results[0], results[1])
