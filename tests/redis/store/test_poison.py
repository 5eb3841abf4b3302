"""No number that is not finite, and no bytes that do not fit, ever reach a parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ModelMissing, NotFinite, ServerRefused
from distbelief.app.layout.keys import PARAMETERS, shard, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Answer, ParameterStore, ShardCounts, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis.parameters import RedisParameterStore, push_script
from tests.rules import some_rules

# 38 numbers in 10 blocks of 4, the last of 2; shards of 3, 3, 2 and 2 blocks.
LAYOUT = Layout((TensorSpec("w", (38,)),), 4, n_shards=4, n_servers=2)
PARTS = [LAYOUT.shard_slice(index) for index in range(LAYOUT.n_shards)]
TOKEN = Token(fence=1, stream=0, attempt=1)
VALUES = np.linspace(-1.0, 1.0, LAYOUT.size)
APPLIED = (Answer.APPLIED,) * LAYOUT.n_shards
POISONS = {"nan": np.nan, "infinity": np.inf, "-infinity": -np.inf, "1e300": 1e300}


def bits(store: ParameterStore) -> list[bytes]:
    names = (PARAMETERS, *map(slot, store.rule.slots))
    return [store.fetch(name).vector.tobytes() for name in names]


# --- where a run begins


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("where", ["parameters", "slots"])
def test_a_run_cannot_begin_with_numbers_that_are_not_finite(
    servers: Servers, run_id: str, poison: str, where: str
) -> None:
    bad = VALUES.copy()
    bad[17] = POISONS[poison]
    first, slots = (bad, VALUES) if where == "parameters" else (VALUES, bad)
    for store in (
        RedisParameterStore(servers, run_id, LAYOUT, Adagrad(0.1), fence=TOKEN.fence),
        MemoryParameterStore(LAYOUT, Adagrad(0.1), fence=TOKEN.fence),
    ):
        with pytest.raises(NotFinite, match="a vector of float32 would hold NaN or infinity"):
            store.create(first, {"adagrad": slots})
        with pytest.raises(ModelMissing):
            store.counts()


# --- every rule

RULES = some_rules(learning_rate=0.1, weight_decay=0.1, ftrl_l1=0.1)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_refuses_what_is_not_finite_and_changes_neither_parameters_nor_slots(
    servers: Servers, run_id: str, rule: Rule, poison: str
) -> None:
    bad = VALUES.copy()
    bad[[0, 37]] = POISONS[poison]
    answers = (Answer.REFUSED, Answer.APPLIED, Answer.APPLIED, Answer.REFUSED)
    for store in (
        RedisParameterStore(servers, run_id, LAYOUT, rule, fence=TOKEN.fence),
        MemoryParameterStore(LAYOUT, rule, fence=TOKEN.fence),
    ):
        store.create(VALUES)
        assert store.push(TOKEN, 1, VALUES).answers == APPLIED
        before = [store.fetch(name).vector for name in (PARAMETERS, *map(slot, rule.slots))]
        assert store.push(TOKEN, 2, bad).answers == answers
        for name, old in zip((PARAMETERS, *map(slot, rule.slots)), before, strict=True):
            new = store.fetch(name).vector
            assert np.isfinite(new).all()
            for part in (PARTS[0], PARTS[3]):
                assert new[part].tobytes() == old[part].tobytes()
        assert store.push(TOKEN, 3, VALUES).answers == APPLIED


# --- pushes that a client of ours would not send


ONE_SHARD = Layout((TensorSpec("w", (12,)),), 4, n_shards=1, n_servers=2)


@dataclass(frozen=True)
class Sent:
    """What comes over the wire for a shard of 12 numbers in float32."""

    gradient: bytes
    numbers: tuple[str, ...] = ("0.1", "0.0", "1e-10", "0.1")
    blocks: str = "0,1,2"
    coding: str = ""


def packed(*values: float, dtype: str = "<f4") -> bytes:
    return np.array([1.0] * (12 - len(values)) + list(values), dtype).tobytes()


REFUSED = {
    "nan": Sent(packed(np.nan)),
    "a nan with other bits": Sent(packed()[:-4] + b"\x01\x00\xa0\xff"),
    "infinity": Sent(packed(np.inf)),
    "-infinity": Sent(packed(-np.inf)),
    "a rate that is no number": Sent(packed(), ("nan", "0.0", "1e-10", "0.1")),
    "an infinite rate": Sent(packed(), ("inf", "0.0", "1e-10", "0.1")),
    "a decay that is no number": Sent(packed(), ("0.1", "nan", "1e-10", "0.1")),
    "an epsilon that is no number": Sent(packed(), ("0.1", "0.0", "nan", "0.1")),
    "nan in bfloat16": Sent(b"\x80?" * 11 + b"\xc0\x7f", coding="bfloat16"),
    "infinity in bfloat16": Sent(b"\x80?" * 11 + b"\x80\xff", coding="bfloat16"),
    "a scale that is no number": Sent(b"\0\0\xc0\x7f" + b"\0" * 12, coding="int8"),
    "an infinite scale": Sent(b"\0\0\x80\x7f" + b"\x01" * 12, coding="int8"),
}
IMPOSSIBLE = {
    "a short block": Sent(packed()[:-4]),
    "a block with half a number": Sent(packed()[:-2]),
    "a long block": Sent(packed() + packed()[:4]),
    "nothing": Sent(b""),
    "float64 for float32": Sent(packed(dtype="<f8")),
    "a block that is not here": Sent(packed(), blocks="0,1,3"),
    "a rate that is a word": Sent(packed(), ("fast", "0.0", "1e-10")),
    "float32 for bfloat16": Sent(packed(), coding="bfloat16"),
    "half a bfloat16": Sent(b"\x80?" * 12 + b"\0", coding="bfloat16"),
    "a bfloat16 less": Sent(b"\x80?" * 11, coding="bfloat16"),
    "int8 without a scale": Sent(b"\x01" * 12, coding="int8"),
    "an int8 more": Sent(b"\0\0\x80?" + b"\x01" * 13, coding="int8"),
    "a coding that there is not": Sent(packed(), coding="int4"),
}


@pytest.mark.parametrize("name", [*REFUSED, *IMPOSSIBLE])
def test_poison_on_the_wire_changes_nothing_and_the_next_push_is_applied(
    servers: Servers, run_id: str, name: str
) -> None:
    store = RedisParameterStore(servers, run_id, ONE_SHARD, Adagrad(0.1), fence=TOKEN.fence)
    store.create(np.ones(12))
    before, sent = bits(store), (REFUSED | IMPOSSIBLE)[name]
    keys = [shard(run_id, 0, what) for what in ("meta", PARAMETERS, slot("adagrad"))]
    arguments: tuple[str | int | bytes, ...] = (
        *(1, 0, 1, 1, 0, ""),
        sent.blocks,
        sent.gradient,
        *sent.numbers[:2],
        sent.coding,
        *sent.numbers[2:],
    )
    command = Command.call(0, push_script(store.rule), keys, arguments)
    used = int(name in REFUSED)
    if used:
        assert servers.call([command]) == [[b"REFUSED", 0, 1, b""]]
    else:
        with pytest.raises(ServerRefused):
            servers.call([command])
    assert bits(store) == before
    assert store.counts() == [ShardCounts(applied=0, refused=used)]
    assert store.push(TOKEN, used + 1, np.ones(12)).answers == (Answer.APPLIED,)


def test_a_client_with_another_dtype_changes_nothing(servers: Servers, run_id: str) -> None:
    for ours, theirs in ((np.float32, np.float64), (np.float64, np.float32)):
        run = f"{run_id}-{ours.__name__}"
        store = RedisParameterStore(servers, run, LAYOUT, SGD(0.1), ours, fence=TOKEN.fence)
        store.create(VALUES)
        before = bits(store)
        with pytest.raises(ServerRefused, match="BADPUSH"):
            RedisParameterStore(servers, run, LAYOUT, SGD(0.1), theirs, fence=TOKEN.fence).push(
                TOKEN, 1, VALUES
            )
        assert bits(store) == before
        assert store.push(TOKEN, 1, VALUES).answers == APPLIED


# --- all of it, in any order


def test_of_a_thousand_pushes_half_of_them_poisoned_the_good_parts_are_applied_exactly(
    servers: Servers, run_id: str, say: Callable[[str], None]
) -> None:
    store = RedisParameterStore(servers, run_id, LAYOUT, SGD(1.0), fence=TOKEN.fence)
    store.create(np.zeros(LAYOUT.size))
    sent, expected, refused = push_good_and_poisoned(store)
    vector = store.fetch().vector
    say(
        f"poison: {sent.total():,} pushes to {LAYOUT.n_shards} shards, "
        + ", ".join(f"{kind} {count}" for kind, count in sorted(sent.items()))
        + f"; refused by shards {sum(refused)}, by the client {sent['another length']}; "
        f"parameters not finite {int((~np.isfinite(vector)).sum())} of {LAYOUT.size}, "
        f"not the exact sum {int((vector != expected).sum())}"
    )
    assert vector.tolist() == expected.tolist()
    assert store.counts() == [ShardCounts(sent.total() - bad, bad) for bad in refused]


def push_good_and_poisoned(store: ParameterStore) -> tuple[Counter[str], Vector, list[int]]:
    """Pushes by kind, the exact sum that must come of them, and what each shard must refuse."""
    random = np.random.default_rng(0)
    sent, expected, refused = Counter[str](), np.zeros(LAYOUT.size), [0] * LAYOUT.n_shards
    for sequence in range(1, 1001):
        gradient = random.integers(-8, 9, LAYOUT.size).astype(float)
        kind = str(random.choice([*POISONS, "another length", *["good"] * 5]))
        sent[kind] += 1
        if kind == "another length":
            with pytest.raises(ServerRefused, match="must have shape"):
                store.push(TOKEN, sequence, gradient[: random.integers(LAYOUT.size)])
        if kind in POISONS:
            gradient[random.integers(0, LAYOUT.size, random.integers(1, 4))] = POISONS[kind]
        store.push(TOKEN, sequence, gradient)
        for index, part in enumerate(PARTS):
            finite = np.abs(gradient[part]).max() < 1e300
            expected[part] -= gradient[part] if finite else 0
            refused[index] += not finite
    return sent, expected, refused
