"""One contract, two stores: whatever holds the numbers, these answers and these changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced, LayoutError, ModelMissing, ServerRefused, ShardBehind
from distbelief.app.layout.keys import PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.parameters import (
    Answer,
    ParameterStore,
    ShardCounts,
    ShardState,
    Token,
)
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.programs import ENGINES, existing, usable

# 38 numbers in 10 blocks of 4, the last of 2; shards of 3, 3, 2 and 2 blocks.
LAYOUT = Layout((TensorSpec("w", (7, 5)), TensorSpec("b", (3,))), 4, n_shards=4, n_servers=2)
SHARDS = range(LAYOUT.n_shards)
FENCE = 3
TOKEN = Token(FENCE, stream=0, attempt=5)
VALUES = np.linspace(-1.0, 1.0, LAYOUT.size)
GRADIENT = np.linspace(0.5, 2.0, LAYOUT.size)

RULE = Adagrad(0.1, decay=0.5)

Dtype = type[np.floating[Any]]
Open = Callable[..., ParameterStore]


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["memory", *ENGINES])
def open_store(
    request: pytest.FixtureRequest,
    dtype: Dtype,
    servers_of: Callable[[ServerProgram, Engine], Servers],
    run_id: str,
) -> Open:
    """Makes a store for a rule and a fence; nothing is created in it."""
    if request.param == "memory":
        shards: list[MemoryShard | None] = [None] * LAYOUT.n_shards

        def in_memory(rule: Rule, fence: int = FENCE) -> ParameterStore:
            store = MemoryParameterStore(LAYOUT, rule, dtype, fence=fence)
            store._shards = shards  # one coordinator after another finds the same
            return store

        return in_memory
    program, engine = request.param
    servers = servers_of(existing(program), usable(engine))
    return lambda rule, fence=FENCE: RedisParameterStore(
        servers, run_id, LAYOUT, rule, dtype, fence=fence
    )


@pytest.fixture
def empty(open_store: Open) -> ParameterStore:
    return open_store(RULE)


@pytest.fixture
def store(empty: ParameterStore) -> ParameterStore:
    assert empty.create(VALUES)
    return empty


def vectors(store: ParameterStore) -> list[Vector]:
    """The parameters and every slot."""
    return [store.fetch(name).vector for name in (PARAMETERS, *map(slot, store.rule.slots))]


def state(store: ParameterStore, streams: Sequence[int] = (0, 1)) -> list[Any]:
    """All that a store holds, to be compared with ==."""
    positions = [store.fetch(stream=stream).positions for stream in streams]
    return [
        [vector.tobytes() for vector in vectors(store)],
        store.counts(),
        [(each.clocks.tolist(), each.sequences.tolist()) for each in positions],
    ]


def answers(answer: Answer) -> tuple[Answer, ...]:
    return (answer,) * LAYOUT.n_shards


# --- create and fetch


def test_what_was_created_is_fetched_in_the_dtype(store: ParameterStore, dtype: Dtype) -> None:
    parameters, accumulator = vectors(store)
    assert parameters.dtype == accumulator.dtype == dtype
    assert parameters.tobytes() == VALUES.astype(dtype).tobytes()
    assert accumulator.tobytes() == np.full(LAYOUT.size, 0.1, dtype).tobytes()


def test_slots_can_be_given(empty: ParameterStore, dtype: Dtype) -> None:
    empty.create(VALUES, {"adagrad": VALUES + 2})
    assert vectors(empty)[1].tobytes() == (VALUES + 2).astype(dtype).tobytes()


def test_a_new_run_stands_at_zero(store: ParameterStore) -> None:
    fetched = store.fetch(stream=7)
    assert fetched.positions.clocks.tolist() == [0] * LAYOUT.n_shards
    assert fetched.positions.sequences.tolist() == [0] * LAYOUT.n_shards
    assert store.counts() == [ShardCounts(0, 0)] * LAYOUT.n_shards


@pytest.mark.parametrize("fence", [FENCE, FENCE + 1])
def test_creating_again_never_resets(store: ParameterStore, open_store: Open, fence: int) -> None:
    store.push(TOKEN, 1, GRADIENT)
    before = state(store)
    assert not open_store(RULE, fence).create(VALUES + 5)
    assert state(store) == before
    assert store.push(TOKEN, 2, GRADIENT).answers == answers(Answer.APPLIED)  # the old fence


@pytest.mark.parametrize("size", [LAYOUT.size - 1, LAYOUT.size + 1])
def test_vectors_of_another_length_create_nothing(empty: ParameterStore, size: int) -> None:
    with pytest.raises(LayoutError, match=f"every vector needs 38 numbers, got .{size},"):
        empty.create(np.zeros(size))
    with pytest.raises(ModelMissing):
        empty.counts()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.announce(TOKEN),
        lambda store: store.fetch(),
        lambda store: store.push(TOKEN, 1, GRADIENT),
        lambda store: store.counts(),
        lambda store: store.copy(PARAMETERS, named("x")),
        lambda store: store.raise_fence(FENCE),
    ],
    ids=["announce", "fetch", "push", "counts", "copy", "raise_fence"],
)
def test_a_run_that_was_never_created_is_missing(
    empty: ParameterStore, use: Callable[[ParameterStore], object]
) -> None:
    with pytest.raises(ModelMissing, match="shard 0 does not know this run"):
        use(empty)


def test_a_vector_that_nobody_made_is_missing(store: ParameterStore) -> None:
    with pytest.raises(ModelMissing):
        store.fetch(named("nothing"))


def test_a_fetch_tells_clocks_and_the_sequence_of_who_asks(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    store.push(TOKEN, 2, GRADIENT)
    store.push(Token(FENCE, stream=1, attempt=1), 1, GRADIENT)
    positions = [store.fetch(stream=stream).positions for stream in (0, 1, 2)]
    assert [each.clocks.tolist() for each in positions] == [[3] * LAYOUT.n_shards] * 3
    assert [set(each.sequences.tolist()) for each in positions] == [{2}, {1}, {0}]


# --- a push that is applied


def test_a_push_takes_one_step_of_the_rule(open_store: Open, dtype: Dtype) -> None:
    store = open_store(SGD(0.25))
    store.create(VALUES)
    pushed = store.push(TOKEN, 1, GRADIENT)
    expected = VALUES.astype(dtype) - 0.25 * GRADIENT.astype(dtype).astype(np.float64)
    assert store.fetch().vector.tobytes() == expected.astype(dtype).tobytes()
    assert pushed.answers == answers(Answer.APPLIED)


def test_the_rate_decays_with_the_clock_of_the_shard(open_store: Open) -> None:
    store = open_store(SGD(1.0, decay=1.0))
    store.create(np.zeros(LAYOUT.size))
    for sequence in (1, 2, 3):
        store.push(TOKEN, sequence, np.ones(LAYOUT.size))
    assert store.fetch().vector == pytest.approx(-(1 + 1 / 2 + 1 / 3))


def test_a_push_advances_every_shard(store: ParameterStore) -> None:
    pushed = store.push(TOKEN, 1, GRADIENT)
    assert pushed.positions.clocks.tolist() == [1] * LAYOUT.n_shards
    assert pushed.positions.sequences.tolist() == [1] * LAYOUT.n_shards
    assert store.counts() == [ShardCounts(1, 0)] * LAYOUT.n_shards


def test_a_push_brings_the_fresh_parameters_if_asked(store: ParameterStore) -> None:
    pushed = store.push(TOKEN, 1, GRADIENT, fetch=True)
    assert pushed.fresh is not None
    assert pushed.fresh.tobytes() == store.fetch().vector.tobytes()


def test_a_push_brings_nothing_unasked(store: ParameterStore) -> None:
    assert store.push(TOKEN, 1, GRADIENT).fresh is None


def test_streams_have_sequences_of_their_own(store: ParameterStore) -> None:
    for stream in (0, 1, 2):
        token = Token(FENCE, stream, attempt=1)
        assert store.push(token, 1, GRADIENT).answers == answers(Answer.APPLIED)


@pytest.mark.parametrize("wire", ["bfloat16", "int8"])
def test_numbers_go_and_come_in_fewer_bits(open_store: Open, dtype: Dtype, wire: Wire) -> None:
    store = open_store(SGD(1.0))
    store.create(np.zeros(LAYOUT.size))
    if dtype == np.float64:
        for use in (
            lambda: store.push(TOKEN, 1, GRADIENT, wire=wire),
            lambda: store.fetch(wire=wire),
        ):
            with pytest.raises(ServerRefused, match=f"{wire} is for shards of float32"):
                use()
        return
    residual = np.zeros(LAYOUT.size, dtype)
    pushed = store.push(TOKEN, 1, GRADIENT, fetch=True, wire=wire, residual=residual)
    stored = store.fetch().vector
    assert np.array_equal((GRADIENT.astype(dtype) + stored), residual)
    assert 0 < np.abs(residual).max() <= {"bfloat16": 2**-8, "int8": 2 / 254}[wire]
    assert pushed.fresh is not None
    again = store.push(TOKEN, 1, GRADIENT, fetch=True, wire=wire)
    assert again.answers == answers(Answer.DUPLICATE)
    assert again.fresh is not None
    for came in (pushed.fresh, again.fresh, store.fetch(wire=wire).vector):
        assert np.array_equal(came, stored)  # rounded before: they are nowhere in between
    poison = np.where(np.arange(LAYOUT.size) == 20, np.nan, GRADIENT)
    refused = store.push(TOKEN, 2, poison, wire=wire, residual=residual).answers
    assert refused.count(Answer.REFUSED) == 1
    assert np.isfinite(residual).all()


# --- a push that is not applied


def test_a_push_with_a_base_goes_at_the_rate_divided_by_the_updates_of_others_since(
    open_store: Open,
) -> None:
    store, other = open_store(SGD(1.0, decay=0.5)), Token(FENCE, 1, 1)
    store.create(VALUES)
    zeros = np.zeros(LAYOUT.size)
    store.push(TOKEN, 1, zeros)
    base = store.fetch(stream=0).positions.others
    for sequence in range(1, 4):
        store.push(other, sequence, zeros)
    store.push(TOKEN, 2, zeros)  # one's own are not counted
    store.push(TOKEN, 3, GRADIENT, base=base)
    expected = VALUES.astype(store.dtype) - 1 / (1 + 0.5 * 5) / 3 * GRADIENT.astype(store.dtype)
    assert store.fetch().vector.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize("since", [0, 1, -2])
def test_a_base_without_newer_updates_of_others_changes_nothing(
    open_store: Open, since: int
) -> None:
    """Negative: the shard lost updates that were there at the fetch."""
    store = open_store(SGD(1.0))
    store.create(VALUES)
    base = np.full(LAYOUT.n_shards, -since, np.int64)
    store.push(TOKEN, 1, GRADIENT, base=base)
    expected = VALUES.astype(store.dtype) - GRADIENT.astype(store.dtype)
    assert store.fetch().vector.tolist() == expected.tolist()


def test_the_last_sequence_of_every_stream_is_told(store: ParameterStore) -> None:
    for stream, pushes in ((0, 3), (2, 1)):
        for sequence in range(1, pushes + 1):
            store.push(Token(FENCE, stream, 5), sequence, GRADIENT)
    assert store.sequences(4) == [3, 0, 1, 0]


def test_a_run_that_is_not_there_has_no_sequences(empty: ParameterStore) -> None:
    with pytest.raises(ModelMissing):
        empty.sequences(2)


def test_a_push_sent_twice_is_a_duplicate_and_changes_nothing(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    before = state(store)
    again = store.push(TOKEN, 1, GRADIENT + 9)
    assert again.answers == answers(Answer.DUPLICATE)
    assert again.positions.sequences.tolist() == [1] * LAYOUT.n_shards
    assert state(store) == before


def test_a_push_may_stand_for_several_sequences_and_counts_as_often(
    open_store: Open, dtype: Dtype
) -> None:
    store = open_store(RULE)
    store.create(VALUES)
    pushed = store.push(TOKEN, 3, GRADIENT, span=3)
    assert pushed.positions.clocks.tolist() == [3] * LAYOUT.n_shards
    assert pushed.positions.sequences.tolist() == [3] * LAYOUT.n_shards
    once = RULE.step(GRADIENT.astype(dtype).astype(float), [VALUES, np.full(LAYOUT.size, 0.1)], 0)
    np.testing.assert_allclose(vectors(store)[0], once[0], rtol=1e-5)
    before = state(store)
    for sequence, span in ((3, 3), (2, 1), (3, 1)):
        assert store.push(TOKEN, sequence, GRADIENT, span=span).answers == answers(Answer.DUPLICATE)
    for sequence, span in ((5, 3), (5, 1), (7, 3)):  # partly there, and too far ahead
        with pytest.raises(
            ShardBehind, match=f"stands at sequence 3, so it cannot take {sequence}"
        ):
            store.push(TOKEN, sequence, GRADIENT, span=span)
    assert state(store) == before
    refused = store.push(TOKEN, 5, np.full(LAYOUT.size, np.nan), span=2)
    assert refused.answers == answers(Answer.REFUSED)
    assert store.counts() == [ShardCounts(3, 2)] * LAYOUT.n_shards
    assert store.push(TOKEN, 6, GRADIENT).positions.clocks.tolist() == [4] * LAYOUT.n_shards


def test_a_duplicate_still_brings_the_fresh_parameters(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    again = store.push(TOKEN, 1, GRADIENT, fetch=True)
    assert again.fresh is not None
    assert again.fresh.tobytes() == store.fetch().vector.tobytes()


def test_a_gap_raises_and_changes_nothing(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    before = state(store)
    with pytest.raises(ShardBehind, match="shard 0 stands at sequence 1, so it cannot take 3"):
        store.push(TOKEN, 3, GRADIENT)
    assert state(store) == before


@pytest.mark.parametrize(("fence", "error"), [(FENCE - 1, Fenced), (FENCE + 1, ShardBehind)])
def test_a_push_under_another_fence_raises_and_changes_nothing(
    store: ParameterStore, fence: int, error: type[Exception]
) -> None:
    """Whoever pushes under a fence has heard of it when it was raised on all shards."""
    before = state(store)
    with pytest.raises(error, match="shard 0"):
        store.push(Token(fence, 0, 5), 1, GRADIENT)
    assert state(store) == before


def test_an_announced_attempt_shuts_older_ones_out(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    store.announce(Token(FENCE, TOKEN.stream, TOKEN.attempt + 1))
    before = state(store)
    with pytest.raises(Fenced):
        store.push(TOKEN, 2, GRADIENT)
    assert state(store) == before


def test_a_push_of_a_newer_attempt_shuts_older_ones_out(store: ParameterStore) -> None:
    store.push(Token(FENCE, TOKEN.stream, TOKEN.attempt + 1), 1, GRADIENT)
    with pytest.raises(Fenced):
        store.push(TOKEN, 2, GRADIENT)


def test_fencing_an_attempt_leaves_other_streams_alone(store: ParameterStore) -> None:
    store.announce(Token(FENCE, stream=1, attempt=99))
    assert store.push(TOKEN, 1, GRADIENT).answers == answers(Answer.APPLIED)


def test_announcing_tells_where_the_shards_stand(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    positions = store.announce(Token(FENCE, TOKEN.stream, TOKEN.attempt + 1))
    assert positions.clocks.tolist() == [1] * LAYOUT.n_shards
    assert positions.sequences.tolist() == [1] * LAYOUT.n_shards


def test_an_attempt_may_be_announced_again(store: ParameterStore) -> None:
    store.announce(TOKEN)
    store.announce(TOKEN)
    assert store.push(TOKEN, 1, GRADIENT).answers == answers(Answer.APPLIED)


@pytest.mark.parametrize("token", [Token(FENCE, 0, 4), Token(FENCE - 1, 0, 6)])
def test_an_older_attempt_or_fence_cannot_be_announced(store: ParameterStore, token: Token) -> None:
    store.announce(TOKEN)
    with pytest.raises(Fenced, match=f"newer attempt than {token.attempt}"):
        store.announce(token)


def test_a_shard_with_an_older_fence_than_was_raised_on_all_is_behind(
    store: ParameterStore,
) -> None:
    with pytest.raises(ShardBehind, match="shard 0 lacks what it had acknowledged"):
        store.announce(Token(FENCE + 1, 0, 6))


# --- a push that is refused


def poisons(dtype: Dtype) -> dict[str, float]:
    """Gradients of one parameter that may not be applied."""
    square_overflows = 1e30 if dtype == np.float32 else 1e200
    return {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "1e300": 1e300, "g*g": square_overflows}


@pytest.mark.parametrize("poison", ["nan", "inf", "-inf", "1e300", "g*g"])
@pytest.mark.parametrize("number", [0, 17, LAYOUT.size - 1])
def test_one_bad_number_is_refused_by_its_shard_alone(
    store: ParameterStore, dtype: Dtype, poison: str, number: int
) -> None:
    gradient = GRADIENT.copy()
    gradient[number] = poisons(dtype)[poison]
    before = vectors(store)
    pushed = store.push(TOKEN, 1, gradient)
    (shard,) = (s for s in SHARDS if number in range(LAYOUT.size)[LAYOUT.shard_slice(s)])
    expected = [Answer.REFUSED if s == shard else Answer.APPLIED for s in SHARDS]
    assert list(pushed.answers) == expected
    part = LAYOUT.shard_slice(shard)
    for then, now in zip(before, vectors(store), strict=True):
        assert now[part].tobytes() == then[part].tobytes()


def test_a_refused_push_is_counted_and_uses_its_sequence_up(store: ParameterStore) -> None:
    pushed = store.push(TOKEN, 1, np.full(LAYOUT.size, np.nan))
    assert pushed.positions.clocks.tolist() == [0] * LAYOUT.n_shards
    assert pushed.positions.sequences.tolist() == [1] * LAYOUT.n_shards
    assert store.counts() == [ShardCounts(applied=0, refused=1)] * LAYOUT.n_shards
    assert store.push(TOKEN, 2, GRADIENT).answers == answers(Answer.APPLIED)


def test_a_refused_push_sent_twice_is_counted_once(store: ParameterStore) -> None:
    store.push(TOKEN, 1, np.full(LAYOUT.size, np.nan))
    before = state(store)
    again = store.push(TOKEN, 1, np.full(LAYOUT.size, np.nan))
    assert again.answers == answers(Answer.DUPLICATE)
    assert state(store) == before


def test_a_refused_push_brings_the_unchanged_parameters(store: ParameterStore) -> None:
    pushed = store.push(TOKEN, 1, np.full(LAYOUT.size, np.inf), fetch=True)
    assert pushed.fresh is not None
    assert pushed.fresh.tobytes() == VALUES.astype(store.dtype).tobytes()


def test_a_parameter_that_would_overflow_is_refused(open_store: Open, dtype: Dtype) -> None:
    store = open_store(SGD(1.0))
    huge = float(np.finfo(dtype).max)
    store.create(np.full(LAYOUT.size, huge))
    assert store.push(TOKEN, 1, np.full(LAYOUT.size, -huge)).answers == answers(Answer.REFUSED)


# --- some blocks only


def test_a_push_for_some_blocks_changes_those_alone(store: ParameterStore) -> None:
    before = store.fetch().vector
    store.push(TOKEN, 1, np.ones(4 + 2), blocks=[4, 9])
    changed = np.flatnonzero(store.fetch().vector != before)
    assert changed.tolist() == [16, 17, 18, 19, 36, 37]


def test_a_push_for_some_blocks_is_the_push_with_zeros_elsewhere(open_store: Open) -> None:
    store = open_store(SGD(0.5))
    store.create(np.zeros(LAYOUT.size))
    store.push(TOKEN, 1, np.arange(1.0, 9.0), blocks=[0, 5])
    expected = np.zeros(LAYOUT.size)
    expected[0:4], expected[20:24] = [-0.5, -1, -1.5, -2], [-2.5, -3, -3.5, -4]
    assert store.fetch().vector.tolist() == expected.tolist()


@pytest.mark.parametrize("blocks", [[4], []], ids=["one shard", "none"])
def test_shards_without_blocks_advance_as_well(store: ParameterStore, blocks: list[int]) -> None:
    pushed = store.push(TOKEN, 1, np.ones(4 * len(blocks)), blocks=blocks)
    assert pushed.answers == answers(Answer.APPLIED)
    assert store.counts() == [ShardCounts(1, 0)] * LAYOUT.n_shards


@pytest.mark.parametrize("blocks", [[1, 4, 9], []])
def test_a_push_for_some_blocks_brings_those(store: ParameterStore, blocks: list[int]) -> None:
    parts = [LAYOUT.block_slice(block) for block in blocks]
    size = sum(part.stop - part.start for part in parts)
    pushed = store.push(TOKEN, 1, np.ones(size), blocks=blocks, fetch=True)
    stored = store.fetch().vector
    assert pushed.fresh is not None
    assert pushed.fresh.tolist() == [x for part in parts for x in stored[part].tolist()]


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (LAYOUT.size - 1, None),
        (LAYOUT.size + 1, None),
        (7, [0, 4]),
        (9, [0, 4]),
        (4, [0, 4]),
        (8, [0, 10]),
        (8, [-1, 0]),
        (8, [4, 0]),
        (8, [4, 4]),
    ],
)
def test_a_push_that_does_not_fit_changes_nothing_on_any_shard(
    store: ParameterStore, size: int, blocks: list[int] | None
) -> None:
    before = state(store)
    with pytest.raises(ServerRefused):
        store.push(TOKEN, 1, np.ones(size), blocks=blocks)
    assert state(store) == before


# --- named vectors, fences, the end


def test_a_copy_stays_as_it_was(store: ParameterStore) -> None:
    before = store.fetch().vector
    store.copy(PARAMETERS, named("snapshot"))
    store.push(TOKEN, 1, GRADIENT)
    assert store.fetch(named("snapshot")).vector.tobytes() == before.tobytes()


def test_a_copy_replaces_what_had_its_name(store: ParameterStore) -> None:
    store.copy(PARAMETERS, named("snapshot"))
    store.push(TOKEN, 1, GRADIENT)
    store.copy(PARAMETERS, named("snapshot"))
    assert store.fetch(named("snapshot")).vector.tobytes() == store.fetch().vector.tobytes()


def test_what_is_not_there_cannot_be_copied(store: ParameterStore) -> None:
    with pytest.raises(ModelMissing):
        store.copy(named("nothing"), named("snapshot"))


def test_a_dropped_vector_is_gone(store: ParameterStore) -> None:
    store.copy(PARAMETERS, named("snapshot"))
    store.drop(named("snapshot"))
    with pytest.raises(ModelMissing):
        store.fetch(named("snapshot"))


def test_dropping_what_is_not_there_is_no_error(empty: ParameterStore) -> None:
    empty.drop(named("nothing"))


def test_a_deleted_run_is_missing_and_can_be_created_again(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    store.delete()
    with pytest.raises(ModelMissing):
        store.fetch()
    assert store.create(VALUES)
    assert store.fetch().positions.clocks.tolist() == [0] * LAYOUT.n_shards


def test_a_raised_fence_shuts_lower_ones_out(store: ParameterStore) -> None:
    store.raise_fence(FENCE + 1)
    with pytest.raises(Fenced):
        store.push(TOKEN, 1, GRADIENT)
    assert store.push(Token(FENCE + 1, 0, 5), 1, GRADIENT).answers == answers(Answer.APPLIED)


def test_a_fence_never_goes_down(store: ParameterStore) -> None:
    with pytest.raises(Fenced, match=f"shard 0 knows the newer fence {FENCE}"):
        store.raise_fence(FENCE - 1)
    assert store.push(TOKEN, 1, GRADIENT).answers == answers(Answer.APPLIED)


def test_raising_the_fence_forgets_the_attempts_under_the_old_one(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    store.announce(Token(FENCE, stream=1, attempt=99))
    store.raise_fence(FENCE + 1)
    for stream, sequence in ((0, 2), (1, 1)):
        token = Token(FENCE + 1, stream, attempt=1)
        assert store.push(token, sequence, GRADIENT).answers == answers(Answer.APPLIED)


def test_raising_the_fence_to_where_it_is_forgets_nothing(store: ParameterStore) -> None:
    store.announce(TOKEN)
    store.raise_fence(FENCE)
    with pytest.raises(Fenced):
        store.push(Token(FENCE, TOKEN.stream, TOKEN.attempt - 1), 1, GRADIENT)


def test_a_run_takes_pushes_under_the_fence_that_it_was_created_with(open_store: Open) -> None:
    store = open_store(RULE, FENCE + 4)
    store.create(VALUES)
    with pytest.raises(Fenced):
        store.push(TOKEN, 1, GRADIENT)
    token = Token(FENCE + 4, TOKEN.stream, TOKEN.attempt)
    assert store.push(token, 1, GRADIENT).answers == answers(Answer.APPLIED)


# --- standings, and pushes after a loss


def test_freezing_tells_all_streams_and_what_was_refused(store: ParameterStore) -> None:
    store.push(TOKEN, 1, GRADIENT)
    store.push(Token(FENCE, stream=4, attempt=1), 1, GRADIENT)
    refused = GRADIENT.copy()
    refused[0] = np.nan  # a number of shard 0
    store.push(TOKEN, 2, refused)
    expected = [ShardState(2, 1, {0: 2, 4: 1})] + [ShardState(3, 0, {0: 2, 4: 1})] * 3
    assert store.freeze({PARAMETERS: named("x")}) == expected
    assert store.shard_states() == expected


def test_a_standing_is_of_its_moment(store: ParameterStore) -> None:
    frozen = store.freeze({})
    store.push(TOKEN, 1, GRADIENT)
    assert frozen == [ShardState()] * LAYOUT.n_shards


def test_a_restored_run_goes_on_after_its_last_sequences(store: ParameterStore) -> None:
    values = {PARAMETERS: VALUES, slot("adagrad"): VALUES + 2}
    store.restore(dict.fromkeys(SHARDS, ShardState(5, 1, {0: 6, 1: 0})), values)
    before = state(store)
    assert store.push(TOKEN, 6, GRADIENT).answers == answers(Answer.DUPLICATE)
    with pytest.raises(ShardBehind, match="shard 0 stands at sequence 6, so it cannot take 8"):
        store.push(TOKEN, 8, GRADIENT)
    assert state(store) == before
    pushed = store.push(TOKEN, 7, GRADIENT)
    assert pushed.answers == answers(Answer.APPLIED)
    assert pushed.positions.clocks.tolist() == [6] * LAYOUT.n_shards
    assert store.counts() == [ShardCounts(6, 1)] * LAYOUT.n_shards
    other = Token(FENCE, stream=1, attempt=1)
    assert store.push(other, 1, GRADIENT).answers == answers(Answer.APPLIED)


def test_what_a_lost_shard_is_missing_is_made_again_bit_for_bit(store: ParameterStore) -> None:
    """Steps depend on the clock (the rate decays) and on the slots: all of it comes back."""
    gradients = np.random.default_rng(0).normal(size=(5, LAYOUT.size))
    for sequence in (1, 2):
        store.push(TOKEN, sequence, gradients[sequence - 1])
    copies = {name: named(f"copy {name}") for name in (PARAMETERS, slot("adagrad"))}
    shard_states = store.freeze(copies)
    frozen = {name: store.fetch(copy).vector for name, copy in copies.items()}
    for sequence in (3, 4, 5):
        store.push(TOKEN, sequence, gradients[sequence - 1])
    undisturbed = state(store)

    store.restore({1: shard_states[1]}, frozen)
    assert store.announce(TOKEN).sequences.tolist() == [5, 2, 5, 5]
    for sequence in (3, 4, 5):
        given = store.push(TOKEN, sequence, gradients[sequence - 1]).answers
        assert given[1] is Answer.APPLIED
        assert {given[index] for index in (0, 2, 3)} == {Answer.DUPLICATE}
    assert state(store) == undisturbed
