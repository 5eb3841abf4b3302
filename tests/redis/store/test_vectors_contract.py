"""One contract, two vector stores: in this process and on servers, in one range or in many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced, ModelMissing, NotFinite, ServerRefused, ShardBehind
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.store.contract.parameters import Counted, ShardState
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.app.store.redis import costs
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.programs import ENGINES, existing, usable

# 38 numbers in 10 blocks of 4, the last of 2; shards of 3, 3, 2 and 2 blocks. Biases, which
# no L1 term covers, begin and end in the middle of blocks.
TENSORS = (
    TensorSpec("w", (2, 9)),
    TensorSpec("b", (7,), penalised=False),
    TensorSpec("u", (12,)),
    TensorSpec("c", (1,), penalised=False),
)
LAYOUT = Layout(TENSORS, 4, n_shards=4, n_servers=2)
COVERED = np.repeat([True, False, True, False], [18, 7, 12, 1])
SHARDS = LAYOUT.n_shards
FENCE = 3
A, B, D, OUT, GRADIENT = "vec:a", "vec:b", "vec:d", "vec:out", "vec:gradient"
VALUES = np.linspace(-1.0, 1.0, LAYOUT.size)
PORTION = np.linspace(0.5, 2.0, LAYOUT.size)

Open = Callable[..., VectorStore]
Dtype = Any


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
    """Makes a store for a fence; nothing is created in it."""
    if request.param == "memory":
        shards: list[MemoryShard | None] = [None] * SHARDS

        def in_memory(fence: int = FENCE) -> VectorStore:
            store = MemoryVectorStore(LAYOUT, dtype, fence=fence)
            store._shards = shards  # one coordinator after another finds the same
            return store

        return in_memory
    program, engine = request.param
    servers = servers_of(existing(program), usable(engine))
    return lambda fence=FENCE: RedisVectorStore(servers, run_id, LAYOUT, dtype, fence=fence)


@pytest.fixture(params=["a call for each shard", "a call for each block"])
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, open_store: Open
) -> VectorStore:
    if request.param == "a call for each block":
        monkeypatch.setattr(costs, "NS_PER_MS", 1.0)
    store = open_store()
    store.create(VALUES)
    return store


@pytest.fixture
def filled(store: VectorStore) -> VectorStore:
    """With vectors a, 1 to 38, and b, all 0.5."""
    sum_up(store, A, np.arange(1.0, LAYOUT.size + 1))
    store.combine(B, [], constant=0.5)
    return store


def sum_up(store: VectorStore, name: str, values: Vector) -> None:
    """Write a vector as workers do: as the only portion of an evaluation of its own."""
    evaluation = {A: 1, B: 2, D: 3}[name]
    store.begin(evaluation, name)
    assert set(store.accumulate(FENCE, evaluation, name, 0, values)) == {Counted.COUNTED}


def read(store: VectorStore, name: str) -> list[float]:
    numbers: list[float] = store.fetch(name).vector.tolist()
    return numbers


def is_there(store: VectorStore, name: str) -> bool:
    try:
        store.fetch(name)
    except ModelMissing:
        return False
    return True


def all_shards(answer: Counted) -> tuple[Counted, ...]:
    return (answer,) * SHARDS


# --- dots


def test_dots_are_in_the_order_of_the_pairs(filled: VectorStore) -> None:
    numbers = np.arange(1.0, 39.0)
    assert filled.dots([(A, B), (B, B), (A, A), (B, A)]) == pytest.approx(
        [0.5 * numbers.sum(), 0.25 * 38, numbers @ numbers, 0.5 * numbers.sum()], rel=1e-15
    )


def test_dots_agree_with_an_exact_sum(store: VectorStore) -> None:
    random = np.random.default_rng(0)
    for name in (A, B):
        sum_up(store, name, random.normal(size=38) * 10.0 ** random.uniform(-8, 8, 38))
    products = np.multiply(*(store.fetch(name).vector.astype(np.float64) for name in (A, B)))
    (dot,) = store.dots([(A, B)])
    assert dot == pytest.approx(math.fsum(products), abs=1e-12 * math.fsum(abs(products)))


def test_no_pairs_have_no_dots(filled: VectorStore) -> None:
    assert filled.dots([]) == []


def test_a_dot_beyond_a_double_is_infinite(store: VectorStore, dtype: Dtype) -> None:
    # Four squares fit a double, and so the sum of each block does; 38 do not.
    root = math.sqrt(4e307) if dtype is np.float64 else 1e19
    store.combine(A, [], constant=root)
    expected = math.inf if dtype is np.float64 else 38 * float(np.float32(root)) ** 2
    assert store.dots([(A, A)]) == [pytest.approx(expected)]


def test_dots_of_a_vector_that_is_not_there_are_refused(filled: VectorStore) -> None:
    with pytest.raises(ModelMissing, match="shard 0"):
        filled.dots([(A, "vec:none")])


def test_dots_do_not_change_anything(filled: VectorStore) -> None:
    filled.dots([(A, B)])
    assert read(filled, A) == np.arange(1.0, 39.0).tolist()


# --- combine


def test_a_combination_is_written(filled: VectorStore, dtype: Dtype) -> None:
    filled.combine(OUT, [(2.0, A), (-4.0, B)], constant=1.0)
    assert read(filled, OUT) == (2 * np.arange(1.0, 39.0) - 1).tolist()
    assert filled.fetch(OUT).vector.dtype == dtype


CASES: dict[str, tuple[list[tuple[float, str]], float, Vector]] = {
    "copy": ([(1.0, A)], 0.0, np.arange(1.0, 39.0)),
    "scale": ([(-0.25, A)], 0.0, -0.25 * np.arange(1.0, 39.0)),
    "fill": ([], 7.0, np.full(38, 7.0)),
    "zero": ([], 0.0, np.zeros(38)),
    "shift": ([(1.0, A)], -1.0, np.arange(38.0)),
    "twice the same term": ([(1.0, A), (2.0, A)], 0.0, 3 * np.arange(1.0, 39.0)),
    "the parameters": ([(1.0, PARAMETERS)], 0.0, VALUES),
}


@pytest.mark.parametrize("case", CASES)
def test_copy_scale_and_fill_are_combinations(filled: VectorStore, dtype: Dtype, case: str) -> None:
    terms, constant, expected = CASES[case]
    filled.combine(OUT, terms, constant=constant)
    assert read(filled, OUT) == expected.astype(dtype).tolist()


def test_a_combination_takes_the_place_of_an_older_vector(filled: VectorStore) -> None:
    filled.combine(OUT, [(1.0, A)])
    filled.combine(OUT, [(3.0, B)])
    assert read(filled, OUT) == [1.5] * 38


def test_twenty_one_terms_are_added_in_their_order(filled: VectorStore, dtype: Dtype) -> None:
    coefficients = np.random.default_rng(0).normal(size=21).tolist()
    filled.combine(OUT, [(c, A if i % 2 else B) for i, c in enumerate(coefficients)])
    expected = np.zeros(38)
    for i, coefficient in enumerate(coefficients):
        expected = expected + coefficient * (np.arange(1.0, 39.0) if i % 2 else 0.5)
    assert read(filled, OUT) == expected.astype(dtype).tolist()


def test_a_combination_asked_for_twice_is_the_same(filled: VectorStore) -> None:
    for _ in range(2):
        filled.combine(OUT, [(0.1, A), (1.0, B)])
    assert read(filled, OUT) == pytest.approx((0.1 * np.arange(1.0, 39.0) + 0.5).tolist())


def test_writing_over_a_term_is_refused(filled: VectorStore) -> None:
    with pytest.raises(ServerRefused, match="must not write over its own term vec:a"):
        filled.combine(A, [(2.0, B), (1.0, A)])
    assert read(filled, A) == np.arange(1.0, 39.0).tolist()


@pytest.mark.parametrize("coefficient", [math.inf, -math.inf, math.nan, 1e308])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(
    filled: VectorStore, coefficient: float
) -> None:
    filled.combine(A, [], constant=3.0)
    with pytest.raises(ServerRefused, match="vec:out would hold numbers that are not finite"):
        filled.combine(OUT, [(coefficient, A)])
    assert not is_there(filled, OUT)


def test_a_refused_combination_leaves_the_older_vector(filled: VectorStore) -> None:
    filled.combine(OUT, [(1.0, A)])
    with pytest.raises(ServerRefused):
        filled.combine(OUT, [], constant=math.inf)
    assert read(filled, OUT) == np.arange(1.0, 39.0).tolist()


def test_a_term_that_is_not_there_is_refused_and_nothing_is_written(filled: VectorStore) -> None:
    with pytest.raises(ModelMissing, match="shard 0"):
        filled.combine(OUT, [(1.0, A), (1.0, "vec:none")])
    assert not is_there(filled, OUT)


# --- an L1 term


#: A number, the gradient there, and the pseudo-gradient with a factor of 0.5.
PSEUDO = [
    (2.0, 1.0, 1.5),
    (2.0, -0.5, 0.0),
    (-2.0, 1.0, 0.5),
    (-2.0, -1.0, -1.5),
    (0.0, 0.75, 0.25),
    (0.0, -0.75, -0.25),
    (-0.0, -0.75, -0.25),
    (0.0, 0.5, 0.0),
    (0.0, -0.5, 0.0),
    (0.0, 0.25, 0.0),
    (0.0, 0.0, 0.0),
]

#: A number, its pseudo-gradient, the direction, and where a step of 0.5 ends.
STEPS = [
    (1.0, 2.0, -1.0, 0.5),
    (1.0, 2.0, 1.0, 1.5),
    (1.0, -2.0, 1.0, 1.5),
    (1.0, 2.0, -4.0, 0.0),
    (1.0, 0.0, -1.0, 0.5),
    (1.0, 2.0, -2.0, 0.0),
    (-1.0, -2.0, 4.0, 0.0),
    (-1.0, -2.0, 1.0, -0.5),
    (-1.0, 2.0, -1.0, -1.5),
    (-1.0, -2.0, -1.0, -1.5),
    (0.0, 2.0, -1.0, -0.5),
    (0.0, 2.0, 1.0, 0.0),
    (0.0, -2.0, 1.0, 0.5),
    (0.0, -2.0, -1.0, 0.0),
    (0.0, 0.0, 3.0, 0.0),
]


def columns(cases: Sequence[tuple[float, ...]]) -> tuple[Vector, ...]:
    """The cases again and again, each as long as a vector."""
    rows = np.array([cases[i % len(cases)] for i in range(LAYOUT.size)])
    return tuple(rows.T)


def test_the_pseudo_gradient_is_the_gradient_with_the_nearest_subgradient(
    store: VectorStore,
) -> None:
    x, g, expected = columns(PSEUDO)
    sum_up(store, A, x)
    sum_up(store, B, g)
    store.pseudo_gradient(OUT, A, B, 0.5)
    assert read(store, OUT) == np.where(COVERED, expected, g).tolist()
    assert read(store, A) == x.tolist()
    assert read(store, B) == g.tolist()


def test_a_step_stays_in_the_orthant_except_for_biases(store: VectorStore) -> None:
    x, v, d, expected = columns(STEPS)
    for name, values in ((A, x), (B, v), (D, d)):
        sum_up(store, name, values)
    store.orthant_step(OUT, A, B, D, 0.5)
    assert read(store, OUT) == pytest.approx(np.where(COVERED, expected, x + 0.5 * d).tolist())
    assert [i for i, now in enumerate(read(store, OUT)) if now == 0] == [
        i for i, now in enumerate(np.where(COVERED, expected, x + 0.5 * d)) if now == 0
    ]


def test_a_step_out_of_zero_may_be_as_small_as_can_be(store: VectorStore) -> None:
    store.combine(A, [])
    store.combine(B, [], constant=-1e-30)
    store.combine(D, [], constant=1e-30)
    store.orthant_step(OUT, A, B, D, 1.0)
    assert np.count_nonzero(read(store, OUT)) == LAYOUT.size


def test_sparsity_is_that_of_the_numbers_that_are_covered(store: VectorStore) -> None:
    values = np.tile([0.0, -2.0, 0.5, -0.0, 3.0], 8)[: LAYOUT.size]
    sum_up(store, A, values)
    weights = values[COVERED]
    assert store.sparsity(A) == (float(np.abs(weights).sum()), int(np.count_nonzero(weights)))
    store.combine(B, [])
    assert store.sparsity(B) == (0.0, 0)


def test_a_norm_beyond_a_double_is_infinite(store: VectorStore, dtype: Dtype) -> None:
    largest = float(np.finfo(dtype).max)
    store.combine(A, [], constant=-largest)
    expected = math.inf if dtype is np.float64 else 30 * largest
    norm, nonzeros = store.sparsity(A)
    assert norm == pytest.approx(expected)
    assert nonzeros == 30


def test_writing_over_what_is_read_is_refused(filled: VectorStore) -> None:
    calls: list[Callable[[], None]] = [
        lambda: filled.pseudo_gradient(A, A, B, 1.0),
        lambda: filled.pseudo_gradient(B, A, B, 1.0),
        lambda: filled.orthant_step(A, A, PARAMETERS, B, 1.0),
        lambda: filled.orthant_step(B, A, PARAMETERS, B, 1.0),
        lambda: filled.orthant_step(B, A, B, PARAMETERS, 1.0),
    ]
    for call in calls:
        with pytest.raises(ServerRefused, match="must not write over its own term vec:"):
            call()
    assert read(filled, A) == np.arange(1.0, 39.0).tolist()


def test_a_pseudo_gradient_or_step_that_is_not_finite_leaves_the_older_vector(
    filled: VectorStore, dtype: Dtype
) -> None:
    largest = float(np.finfo(dtype).max)
    filled.combine(D, [], constant=largest)
    # Numbers that are covered are too large, and then biases: the others do not move.
    calls: list[Callable[[], None]] = [
        lambda: filled.pseudo_gradient(OUT, A, D, largest),
        lambda: filled.orthant_step(OUT, A, B, D, 2.0),
    ]
    for call, concerned in zip(calls, (COVERED, ~COVERED), strict=True):
        filled.combine(OUT, [], constant=1.0)
        with pytest.raises(NotFinite, match="vec:out would hold numbers that are not finite"):
            call()
        assert set(np.array(read(filled, OUT))[concerned]) == {1.0}


def test_operations_of_an_l1_term_on_what_is_not_there_are_refused(filled: VectorStore) -> None:
    calls: list[Callable[[], object]] = [
        lambda: filled.pseudo_gradient(OUT, A, "vec:none", 1.0),
        lambda: filled.orthant_step(OUT, A, B, "vec:none", 1.0),
        lambda: filled.sparsity("vec:none"),
    ]
    for call in calls:
        with pytest.raises(ModelMissing, match="shard 0"):
            call()
    assert not is_there(filled, OUT)


# --- portions


def test_a_portion_is_added_on_every_shard(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    assert store.accumulate(FENCE, 11, GRADIENT, 0, PORTION) == all_shards(Counted.COUNTED)
    assert store.accumulate(FENCE, 11, GRADIENT, 1, PORTION) == all_shards(Counted.COUNTED)
    assert read(store, GRADIENT) == (2 * PORTION.astype(dtype)).tolist()


def test_portions_are_added_in_any_order(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    for portion in (4095, 0, 17):
        store.accumulate(FENCE, 11, GRADIENT, portion, np.full(38, portion + 1.0))
    assert read(store, GRADIENT) == [4096.0 + 1 + 18] * 38


def test_a_portion_that_comes_twice_counts_once(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 5, PORTION)
    assert store.accumulate(FENCE, 11, GRADIENT, 5, PORTION) == all_shards(Counted.DUPLICATE)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_a_portion_of_another_evaluation_is_expired(store: VectorStore, dtype: Dtype) -> None:
    store.begin(12, GRADIENT)
    store.accumulate(FENCE, 12, GRADIENT, 0, PORTION)
    assert store.accumulate(FENCE, 11, GRADIENT, 1, PORTION) == all_shards(Counted.EXPIRED)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_a_shard_that_knows_no_evaluation_so_late_is_behind(
    store: VectorStore, dtype: Dtype
) -> None:
    """Workers hear of an evaluation when it has begun on all shards."""
    with pytest.raises(ShardBehind, match="shard 0 lacks what it had acknowledged"):
        store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    assert not is_there(store, GRADIENT)
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    with pytest.raises(ShardBehind):
        store.accumulate(FENCE, 12, GRADIENT, 1, PORTION)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_beginning_an_evaluation_again_resets_nothing(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    store.begin(11, GRADIENT)
    assert store.accumulate(FENCE, 11, GRADIENT, 0, PORTION) == all_shards(Counted.DUPLICATE)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_the_next_evaluation_begins_from_nothing(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    store.begin(12, GRADIENT)
    assert not is_there(store, GRADIENT)
    assert store.accumulate(FENCE, 12, GRADIENT, 0, PORTION) == all_shards(Counted.COUNTED)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_an_evaluation_that_is_over_cannot_begin_again(store: VectorStore, dtype: Dtype) -> None:
    store.begin(12, GRADIENT)
    store.accumulate(FENCE, 12, GRADIENT, 0, PORTION)
    with pytest.raises(Fenced, match="shard 0 is at a later evaluation than 11"):
        store.begin(11, GRADIENT)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()
    assert store.counted(12) == [1] * SHARDS


def test_each_shard_tells_how_many_portions_it_has(store: VectorStore) -> None:
    store.begin(11, GRADIENT)
    assert store.counted(11) == [0] * SHARDS
    for portion in (0, 7, 7, 4095):
        store.accumulate(FENCE, 11, GRADIENT, portion, PORTION)
    assert store.counted(11) == [3] * SHARDS
    assert store.counted(10) == store.counted(12) == [0] * SHARDS
    store.begin(12, GRADIENT)
    assert store.counted(11) == store.counted(12) == [0] * SHARDS


def test_the_gradient_of_the_last_evaluation_stays(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, A)
    store.accumulate(FENCE, 11, A, 0, PORTION)
    store.begin(12, B)
    assert read(store, A) == PORTION.astype(dtype).tolist()


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_shard_refuses_a_portion_that_is_not_finite_there(
    store: VectorStore, dtype: Dtype, shard: int, number: float
) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    bad = PORTION.copy()
    bad[LAYOUT.shard_slice(shard)][-1] = number
    answers = store.accumulate(FENCE, 11, GRADIENT, 1, bad)
    expected = [Counted.COUNTED] * SHARDS
    expected[shard] = Counted.REFUSED
    assert list(answers) == expected
    part = LAYOUT.shard_slice(shard)
    assert read(store, GRADIENT)[part] == PORTION.astype(dtype)[part].tolist()
    # The portion has not been counted there, and has been everywhere else.
    assert store.counted(11) == [2 - (index == shard) for index in range(SHARDS)]
    again = store.accumulate(FENCE, 11, GRADIENT, 1, PORTION)
    assert again[shard] is Counted.COUNTED
    assert set(again) == {Counted.COUNTED, Counted.DUPLICATE}
    assert read(store, GRADIENT)[part] == (2 * PORTION.astype(dtype))[part].tolist()


def test_a_sum_that_would_not_be_finite_is_refused(store: VectorStore, dtype: Dtype) -> None:
    largest = np.full(38, np.finfo(dtype).max)
    store.begin(11, GRADIENT)
    assert store.accumulate(FENCE, 11, GRADIENT, 0, largest) == all_shards(Counted.COUNTED)
    assert store.accumulate(FENCE, 11, GRADIENT, 1, largest) == all_shards(Counted.REFUSED)
    assert read(store, GRADIENT) == largest.tolist()


@pytest.mark.parametrize("length", [0, 1, 37, 39, 76])
def test_a_portion_of_another_length_changes_nothing(
    store: VectorStore, dtype: Dtype, length: int
) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    with pytest.raises(ServerRefused, match=rf"must have shape \(38,\), got \({length},\)"):
        store.accumulate(FENCE, 11, GRADIENT, 1, np.ones(length))
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()
    assert store.accumulate(FENCE, 11, GRADIENT, 1, PORTION) == all_shards(Counted.COUNTED)


# --- fences and shards that know nothing


def test_a_coordinator_with_another_fence_is_shut_out(open_store: Open) -> None:
    open_store().create(VALUES)
    for other, error in ((open_store(FENCE - 1), Fenced), (open_store(FENCE + 1), ShardBehind)):
        calls: list[Callable[[], object]] = [
            partial(other.dots, [(PARAMETERS, PARAMETERS)]),
            partial(other.combine, OUT, [(1.0, PARAMETERS)]),
            partial(other.begin, 11, GRADIENT),
            partial(other.counted, 11),
            partial(other.pseudo_gradient, OUT, PARAMETERS, PARAMETERS, 1.0),
            partial(other.orthant_step, OUT, PARAMETERS, PARAMETERS, PARAMETERS, 1.0),
            partial(other.sparsity, PARAMETERS),
        ]
        for call in calls:
            with pytest.raises(error, match="shard 0"):
                call()
    assert not is_there(open_store(), OUT)


def test_raising_the_fence_shuts_out_late_portions_and_the_coordinator_before(
    filled: VectorStore, open_store: Open
) -> None:
    filled.begin(11, GRADIENT)
    open_store(FENCE + 1).raise_fence(FENCE + 1)
    with pytest.raises(Fenced):
        filled.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    with pytest.raises(Fenced):
        filled.combine(OUT, [(1.0, A)])
    assert not is_there(filled, GRADIENT)


def test_a_newer_coordinator_goes_on_with_the_vectors(open_store: Open) -> None:
    old = open_store()
    old.create(VALUES)
    old.combine(A, [], constant=2.0)
    old.raise_fence(FENCE + 1)
    new = open_store(FENCE + 1)
    assert new.dots([(A, A)]) == [4.0 * 38]
    new.begin(17, GRADIENT)
    assert new.accumulate(FENCE + 1, 17, GRADIENT, 0, PORTION) == all_shards(Counted.COUNTED)


def test_raising_the_fence_forgets_the_evaluation_under_the_old_one(
    store: VectorStore, dtype: Dtype
) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    store.raise_fence(FENCE + 1)
    assert store.counted(11) == [0] * SHARDS
    with pytest.raises(ShardBehind):
        store.accumulate(FENCE + 1, 11, GRADIENT, 1, PORTION)
    # A checkpoint may take the new coordinator back to an evaluation with a lower number.
    store.begin(5, GRADIENT)
    for expected in (Counted.COUNTED, Counted.DUPLICATE):
        assert store.accumulate(FENCE + 1, 5, GRADIENT, 0, PORTION) == all_shards(expected)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_raising_the_fence_to_where_it_is_forgets_no_portion(store: VectorStore) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    store.raise_fence(FENCE)
    assert store.counted(11) == [1] * SHARDS


def test_restoring_forgets_the_portions_that_were_counted(store: VectorStore, dtype: Dtype) -> None:
    store.begin(11, GRADIENT)
    store.accumulate(FENCE, 11, GRADIENT, 0, PORTION)
    store.restore(dict.fromkeys(range(SHARDS), ShardState()), {PARAMETERS: VALUES})
    assert store.counted(11) == [0] * SHARDS
    with pytest.raises(ShardBehind):
        store.accumulate(FENCE, 11, GRADIENT, 1, PORTION)
    store.begin(11, GRADIENT)
    assert store.accumulate(FENCE, 11, GRADIENT, 0, PORTION) == all_shards(Counted.COUNTED)
    assert read(store, GRADIENT) == PORTION.astype(dtype).tolist()


def test_shards_that_do_not_know_the_run_say_so(open_store: Open) -> None:
    store = open_store()
    calls: list[Callable[[], object]] = [
        lambda: store.dots([(A, A)]),
        lambda: store.combine(OUT, [], constant=1.0),
        lambda: store.begin(11, GRADIENT),
        lambda: store.pseudo_gradient(OUT, A, B, 1.0),
        lambda: store.orthant_step(OUT, A, A, B, 1.0),
        lambda: store.sparsity(A),
        lambda: store.accumulate(FENCE, 11, GRADIENT, 0, PORTION),
        lambda: store.fetch(A),
    ]
    for call in calls:
        with pytest.raises(ModelMissing, match="shard 0 does not know this run"):
            call()


def test_dropped_vectors_are_gone_and_others_stay(filled: VectorStore) -> None:
    filled.drop(A, "vec:none")
    filled.drop()
    assert not is_there(filled, A)
    assert is_there(filled, B)
    assert is_there(filled, PARAMETERS)
