"""Tables: rows come into being as the seed draws them, and are updated once, like all else.

Scripts on servers and their NumPy twins give the same bits; and a tensor gives the same
bits whether it is a table or part of the flat vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.app.client.scan import scan_hash
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ModelMissing, ServerRefused
from distbelief.app.layout.keys import PARAMETERS, named, shard, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.initial import drawn_values
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Answer, ParameterStore, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis import shards
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.problem.memory_estimate import block_bytes
from tests.rules import some_rules

FENCE, ATTEMPT = 1, 1
#: A gradient of zeros changes nothing.
RESTING: list[Rule] = [SGD(0.5, decay=0.1), Adagrad(0.1, decay=0.5, initial_accumulator=0.3)]
RULES = some_rules(
    learning_rate=0.1,
    learning_rate_decay=0.5,
    initial_accumulator=0.3,
    weight_decay=0.2,
    ftrl_beta=0.7,
    ftrl_l1=0.2,
    ftrl_l2=0.1,
)


def tables(*shapes: tuple[tuple[int, ...], float | None], shards: int = 3) -> Layout:
    """A layout of a bias of 3 and one table for each (shape, spread)."""
    sparse = [
        TensorSpec(f"table{i}", shape, sparse=True, spread=spread)
        for i, (shape, spread) in enumerate(shapes)
    ]
    tensors = (sparse[0], TensorSpec("bias", (3,)), *sparse[1:])
    return Layout(tensors, 2, 2 + shards, n_servers=2, n_table_shards=shards, seed=7)


LAYOUT = tables(((100,), 0.0), ((40, 5), 0.25), ((11, 2, 9), 1.0))


@dataclass(frozen=True)
class Twins:
    script: ParameterStore
    twin: ParameterStore

    def both(self, do: Callable[[ParameterStore], Any]) -> Any:
        """What both stores give, which must be the same."""
        ours, theirs = do(self.script), do(self.twin)
        assert ours == theirs
        return ours


def stores(servers: Servers, run: str, layout: Layout, rule: Rule, dtype: Any) -> Twins:
    script = RedisParameterStore(servers, run, layout, rule, dtype, fence=FENCE)
    twin = MemoryParameterStore(layout, rule, np.dtype(dtype), fence=FENCE)
    first = np.linspace(-1, 1, layout.size)
    assert script.create(first)
    assert twin.create(first)
    return Twins(script, twin)


def every_row(layout: Layout) -> list[npt.NDArray[np.int64]]:
    return [np.arange(table.n_rows) for table in layout.tables]


def whole(store: ParameterStore, name: str = PARAMETERS) -> list[bytes]:
    """All numbers of a vector, the rows that nobody touched as they will begin."""
    fetched = store.fetch(name, rows=every_row(store.layout))
    return [fetched.vector.tobytes(), *(values.tobytes() for values in fetched.tables)]


def there(store: ParameterStore, name: str = PARAMETERS) -> list[tuple[list[int], bytes]]:
    return [(rows.ids.tolist(), rows.values.tobytes()) for rows in store.touched(name)]


def gradient_of(
    layout: Layout, ids: Sequence[Sequence[int]], random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], list[TableRows]]:
    rows = [
        TableRows(np.array(sorted(part), dtype=np.int64), random.normal(size=(len(part), t.width)))
        for part, t in zip(ids, layout.tables, strict=True)
    ]
    return random.normal(size=layout.size), rows


def push(store: ParameterStore, sequence: int, gradient: Any, rows: Any, **more: Any) -> Any:
    token = Token(FENCE, more.pop("stream", 0), ATTEMPT)
    pushed = store.push(token, sequence, gradient, rows=rows, **more)
    return pushed.answers, pushed.positions.clocks.tolist(), pushed.positions.sequences.tolist()


@pytest.fixture(params=RULES, ids=lambda rule: rule.name)
def twins(request: pytest.FixtureRequest, servers: Servers, run_id: str) -> Twins:
    return stores(servers, run_id, LAYOUT, request.param, np.float32)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shape = st.lists(st.integers(1, 40), min_size=1, max_size=2).map(tuple)
    spread = st.sampled_from([None, 0.0, 0.01, 3.0])
    shapes = draw(st.lists(st.tuples(shape, spread), min_size=1, max_size=3))
    return replace(tables(*shapes, shards=draw(st.integers(1, 5))), seed=draw(st.integers(0, 99)))


@settings(max_examples=40, deadline=None)
@given(layouts(), st.sampled_from(RULES), st.sampled_from(["<f4", "<f8"]), st.data())
def test_script_and_twin_agree_bit_for_bit(
    servers: Servers,
    new_run: Callable[[], str],
    layout: Layout,
    rule: Rule,
    kind: str,
    data: st.DataObject,
) -> None:
    pair = stores(servers, new_run(), layout, rule, np.dtype(kind))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    some = st.tuples(*(st.sets(st.integers(0, table.n_rows - 1)) for table in layout.tables))
    for _ in range(data.draw(st.integers(1, 5), "pushes")):
        gradient, rows = gradient_of(layout, data.draw(some, "rows"), random)
        if data.draw(st.booleans(), "poisoned") and len(rows[0].ids):
            rows[0].values[-1, -1] = data.draw(st.sampled_from([np.nan, np.inf, 1e300]))
        stream = data.draw(st.integers(0, 1), "stream")
        sequence = int(pair.twin.announce(Token(FENCE, stream, ATTEMPT)).sequences[0]) + 1
        base = np.zeros(layout.n_shards, np.int64) if data.draw(st.booleans(), "scaled") else None
        pair.both(lambda s: push(s, sequence, gradient, rows, stream=stream, base=base))  # noqa: B023
        for name in (PARAMETERS, *map(slot, rule.slots)):
            pair.both(lambda s: there(s, name))  # noqa: B023
        pair.both(whole)
        pair.both(lambda s: s.counts())
    pair.script.delete()


@pytest.mark.parametrize("rule", RESTING, ids=lambda rule: rule.name)
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_table_holds_what_the_flat_vector_would(
    servers: Servers, new_run: Callable[[], str], rule: Rule, spread: float
) -> None:
    """Rows without a gradient are pushed zeros in the one case, and left alone in the other."""
    tabled = tables(((50, 3), spread))
    flat = replace(tabled, n_table_shards=0, n_shards=2)
    spec = tabled.tables[0].spec
    pair = stores(servers, new_run(), tabled, rule, np.float32)
    dense = MemoryParameterStore(flat, rule, fence=FENCE)
    table = drawn_values(spec, tabled.seed, np.arange(spec.size))
    dense.create(np.concatenate([table, np.linspace(-1, 1, 3)]))
    random = np.random.default_rng(0)
    for sequence in range(1, 20):
        touched = random.choice(50, 6, replace=False).tolist()
        gradient, rows = gradient_of(tabled, [touched], random)
        pair.both(lambda s: push(s, sequence, gradient, rows))  # noqa: B023
        scattered = np.zeros((50, 3))
        scattered[rows[0].ids] = rows[0].values
        dense.push(Token(FENCE, 0, ATTEMPT), sequence, np.append(scattered.ravel(), gradient))
    of_bias, of_table = pair.both(whole)
    assert of_table + of_bias == dense.fetch().vector.tobytes()


def test_rows_begin_as_the_seed_draws_them_whoever_comes_first(twins: Twins) -> None:
    values = twins.script.fetch(rows=every_row(LAYOUT)).tables
    for table, rows in zip(LAYOUT.tables, values, strict=True):
        drawn = drawn_values(table.spec, LAYOUT.seed, np.arange(table.spec.size))
        assert rows.ravel().tolist() == drawn.astype(np.float32).tolist()
    assert not values[0].any()
    assert np.abs(values[1]).max() <= 0.25


def test_slots_of_rows_that_nobody_touched_are_read_as_they_will_begin(twins: Twins) -> None:
    rule = twins.script.rule
    parameters = twins.script.fetch(rows=every_row(LAYOUT)).tables
    for name in rule.slots:
        twins.both(lambda s: whole(s, slot(name)))  # noqa: B023
        fetched = twins.script.fetch(slot(name), rows=every_row(LAYOUT)).tables
        for table, rows, values in zip(LAYOUT.tables, parameters, fetched, strict=True):
            drawn = drawn_values(table.spec, LAYOUT.seed, np.arange(table.spec.size))
            first = rule.initial_slots(drawn.reshape(rows.shape))[name]
            assert values.tolist() == first.astype(np.float32).tolist()


def test_reading_brings_nothing_into_being(twins: Twins) -> None:
    twins.both(whole)
    assert [ids for ids, _ in twins.both(there)] == [[], [], []]


def test_only_blocks_that_were_touched_are_stored(twins: Twins) -> None:
    gradient, rows = gradient_of(LAYOUT, [[17], [3], []], np.random.default_rng(0))
    twins.both(lambda s: push(s, 1, gradient, rows))
    ids = [ids for ids, _ in twins.both(there)]
    assert ids == [list(range(16, 32)), [3, 4, 5], []]


def test_a_repeated_push_changes_nothing(twins: Twins) -> None:
    gradient, rows = gradient_of(LAYOUT, [[1, 2], [7], [0]], np.random.default_rng(0))
    twins.both(lambda s: push(s, 1, gradient, rows))
    before = twins.both(whole)
    answers, clocks, _ = twins.both(lambda s: push(s, 1, gradient, rows))
    assert set(answers) == {Answer.DUPLICATE}
    assert clocks == [1] * LAYOUT.n_shards
    assert twins.both(whole) == before


def test_a_push_without_rows_advances_every_table_shard(twins: Twins) -> None:
    _, clocks, sequences = twins.both(lambda s: push(s, 1, np.zeros(3), ()))
    assert clocks == sequences == [1] * LAYOUT.n_shards


def test_a_poisoned_row_is_refused_by_its_shard_alone(twins: Twins) -> None:
    gradient, rows = gradient_of(LAYOUT, [[0, 16, 32], [], []], np.random.default_rng(0))
    rows[0].values[1] = np.nan
    answers, _, _ = twins.both(lambda s: push(s, 1, gradient, rows))
    assert sorted(answers) == [Answer.APPLIED] * 4 + [Answer.REFUSED]
    assert next(ids for ids, _ in twins.both(there)) == [*range(16), *range(32, 48)]


@pytest.mark.parametrize(
    ("ids", "shape", "complaint"),
    [
        ([[3, 3], [], []], None, "rows of table0 must be in ascending order"),
        ([[-1], [], []], None, "rows of table0 must be 0 to 99"),
        ([[], [40], []], None, "rows of table1 must be 0 to 39"),
        ([[], [4], []], (1, 4), r"1 rows of table1 must have shape \(1, 5\), got \(1, 4\)"),
    ],
)
def test_rows_that_are_none_are_refused_before_any_shard_is_asked(
    twins: Twins, ids: list[list[int]], shape: tuple[int, int] | None, complaint: str
) -> None:
    rows = [
        TableRows(np.array(part, np.int64), np.zeros(shape or (len(part), table.width)))
        for part, table in zip(ids, LAYOUT.tables, strict=True)
    ]
    if shape:
        rows[0], rows[2] = (TableRows(np.array([], np.int64), np.zeros((0, w))) for w in (1, 18))
    for store in (twins.script, twins.twin):
        with pytest.raises(ServerRefused, match=complaint):
            push(store, 1, np.zeros(3), rows)
    assert [count.applied for count in twins.both(lambda s: s.counts())] == [0] * LAYOUT.n_shards


def trained(twins: Twins, pushes: int = 3) -> None:
    random = np.random.default_rng(0)
    for sequence in range(1, pushes + 1):
        ids = [random.choice(t.n_rows, 4, replace=False).tolist() for t in LAYOUT.tables]
        gradient, rows = gradient_of(LAYOUT, ids, random)
        twins.both(lambda s: push(s, sequence, gradient, rows))  # noqa: B023


def test_a_frozen_copy_has_the_rows_of_its_moment(twins: Twins) -> None:
    trained(twins)
    before = twins.both(whole)
    twins.both(lambda s: s.freeze({PARAMETERS: named("copy")}))
    gradient, rows = gradient_of(LAYOUT, [[1, 99], [7], [0]], np.random.default_rng(1))
    twins.both(lambda s: push(s, 4, gradient, rows))
    assert twins.both(lambda s: whole(s, named("copy"))) == before
    assert twins.both(whole) != before
    assert twins.both(lambda s: s.named_vectors()) == {named("copy")}


def test_a_vector_that_was_dropped_is_missing_though_it_had_no_rows(twins: Twins) -> None:
    twins.both(lambda s: s.copy(PARAMETERS, named("copy")))
    twins.both(lambda s: whole(s, named("copy")))
    twins.both(lambda s: s.drop(named("copy")))
    for store in (twins.script, twins.twin):
        with pytest.raises(ModelMissing):
            store.fetch(named("copy"))
    assert twins.both(lambda s: s.shard_states(named("copy"))) == [None] * LAYOUT.n_shards
    assert None not in twins.both(lambda s: s.shard_states())


def test_shards_come_back_with_their_rows_slots_and_standings(
    servers: Servers, new_run: Callable[[], str]
) -> None:
    rule = RESTING[1]
    twins = stores(servers, new_run(), LAYOUT, rule, np.float32)
    trained(twins)
    names = [PARAMETERS, *map(slot, rule.slots)]
    before = [twins.both(lambda s: there(s, name)) for name in names]  # noqa: B023
    again = Twins(
        RedisParameterStore(servers, new_run(), LAYOUT, rule, np.float32, fence=FENCE),
        MemoryParameterStore(LAYOUT, rule, fence=FENCE),
    )
    for old, new in ((twins.script, again.script), (twins.twin, again.twin)):
        vectors = {name: old.fetch(name).vector for name in names}
        rows = {name: old.touched(name) for name in names}
        shard_states = [each for each in old.shard_states() if each is not None]
        new.restore(dict(enumerate(shard_states)), vectors, rows)
    assert [again.both(lambda s: there(s, name)) for name in names] == before  # noqa: B023
    assert again.both(lambda s: s.shard_states()) == twins.both(lambda s: s.shard_states())
    gradient, part = gradient_of(LAYOUT, [[1, 99], [7], [0]], np.random.default_rng(1))
    for pair in (twins, again):
        pair.both(lambda s: push(s, 4, gradient, part))
    assert again.both(whole) == twins.both(whole)


def test_rows_of_ones_own_are_there_from_the_beginning(
    servers: Servers, new_run: Callable[[], str]
) -> None:
    layout, rule = tables(((33, 2), None)), RESTING[1]
    values = np.random.default_rng(0).normal(size=(33, 2)).astype(np.float32)
    rows = TableRows(np.arange(33), values)
    sums = TableRows(np.arange(33), np.full((33, 2), 0.3, np.float32))
    for store in (
        RedisParameterStore(servers, new_run(), layout, rule, fence=FENCE),
        MemoryParameterStore(layout, rule, fence=FENCE),
    ):
        assert store.create(np.zeros(3), None, {PARAMETERS: [rows], slot("adagrad"): [sums]})
        assert np.array_equal(
            store.fetch(rows=[np.array([0, 7, 32])]).tables[0], values[[0, 7, 32]]
        )
        assert store.touched()[0].ids.tolist() == list(range(33))


def test_blocks_take_no_more_memory_than_is_told_beforehand(
    servers: Servers, new_run: Callable[[], str]
) -> None:
    layout = tables(((200_000,), 0.0), ((40_000, 9), 0.1))
    store = RedisParameterStore(servers, new_run(), layout, SGD(0.1), fence=FENCE)
    store.create(np.zeros(3))
    random = np.random.default_rng(0)
    touched: list[set[int]] = [set(), set()]
    for sequence in range(1, 6):
        ids = [random.choice(t.n_rows, 2000, replace=False).tolist() for t in layout.tables]
        gradient, rows = gradient_of(layout, ids, random)
        push(store, sequence, gradient, rows)
        for seen, part, table in zip(touched, ids, layout.tables, strict=True):
            seen.update(row // table.rows_per_block for row in part)
    told = sum(
        len(seen) * block_bytes(t, 4) for seen, t in zip(touched, layout.tables, strict=True)
    )
    assert told / 3 < store.stored_bytes() < told
    store.delete()


def test_rows_of_a_vector_that_is_not_there_are_missing_and_not_none(twins: Twins) -> None:
    trained(twins)
    for store in (twins.script, twins.twin):
        with pytest.raises(ModelMissing):
            store.touched(named("nowhere"))


def test_a_server_that_loses_its_data_while_it_is_scanned_is_noticed(
    servers: Servers, new_run: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a checkpoint would be whole to look at, and lack rows."""
    twins = stores(servers, new_run(), LAYOUT, SGD(0.1), np.float32)
    trained(twins)
    store = cast("RedisParameterStore", twins.script)
    last = shard(store._run, LAYOUT.n_shards - 1, PARAMETERS)

    def scan_and_lose(servers: Servers, key: str, *, server: int) -> Any:
        yield from scan_hash(servers, key, server=server)
        if key == last:
            store.delete()

    monkeypatch.setattr(shards, "scan_hash", scan_and_lose)
    with pytest.raises(ModelMissing):
        store.touched()


def test_a_change_by_another_thread_while_rows_are_read_is_no_loss(
    servers: Servers, new_run: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint is read beside the training, which copies and drops vectors meanwhile."""
    twins = stores(servers, new_run(), LAYOUT, SGD(0.1), np.float32)
    trained(twins)
    store, ask = cast("RedisParameterStore", twins.script), Servers.one

    def ask_then_change(servers: Servers, *words: Any, **where: Any) -> Any:
        reply = ask(servers, *words, **where)
        if words[0] == "HMGET":
            store.copy(PARAMETERS, named("other"))
        return reply

    monkeypatch.setattr(Servers, "one", ask_then_change)
    assert len(store.touched()) == len(LAYOUT.tables)
