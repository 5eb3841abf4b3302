"""A portion's share of the batch: what it covers, and sums that no order changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split import partition as splitting
from distbelief.app.datasets.split.partition import BLOCK, ShuffledRows, portion
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Features, Model, Targets, Task
from distbelief.worker_tasks import task_clock
from distbelief.worker_tasks.portion import (
    CHUNK_EXAMPLES,
    HEADROOM,
    Share,
    compute,
    is_exact,
    quantum,
    rounded,
)
from tests.dividing import split

L2 = 0.03

MODELS: dict[str, tuple[str, Callable[[int, int], Model]]] = {
    "linear": ("synthetic:linear", lambda n_features, _: LinearRegression(n_features)),
    "logistic": ("synthetic:logistic", lambda n_features, _: LogisticRegression(n_features)),
    "softmax": ("synthetic:softmax", SoftmaxRegression),
    "mlp": (
        "synthetic:softmax",
        lambda n_features, n_classes: MLP(n_features, n_classes, (5,), "tanh", "glorot"),
    ),
}

DTYPES = (np.float64, np.float32)


# --- a share


def objective(
    model: Model, dataset: Dataset, rows: Any, parameters: Vector, l2: float
) -> tuple[float, Vector]:
    """Loss and gradient of all rows at once, and the L2 term of the weights."""
    gradient = np.empty_like(parameters)
    loss = model.loss_and_gradient(
        parameters, dataset.features[rows], dataset.targets[rows], gradient
    )
    start = 0
    for tensor in model.tensors:
        part = slice(start, start + tensor.size)
        if "bias" not in tensor.name:
            loss += l2 / 2 * float(parameters[part] @ parameters[part])
            gradient[part] += l2 * parameters[part]
        start = part.stop
    return loss, gradient


def shares(
    model: Model, dataset: Dataset, train: ShuffledRows, parameters: Vector, n_portions: int
) -> list[Share]:
    """Each portion as its task computes it."""
    mask = Layout(model.tensors, block_numbers=16, n_shards=1, n_servers=1).penalty_mask()
    penalty = (mask * L2).astype(parameters.dtype)
    return [
        compute(
            model,
            dataset,
            portion(train, index, n_portions),
            parameters,
            n_examples=len(train),
            penalty=penalty if index == 0 else None,
        )
        for index in range(n_portions)
    ]


@pytest.mark.parametrize("n_portions", [1, 2, 7, 60, 100])
@pytest.mark.parametrize("name", MODELS)
def test_shares_add_up_to_the_objective_of_all_training_examples(
    name: str, n_portions: int
) -> None:
    source, build = MODELS[name]
    dataset = Generated(source).load({"examples": 100, "features": 6})
    model = build(dataset.n_features, dataset.n_classes)
    train, _ = split(100, 0.4, seed=0)
    parameters = np.random.default_rng(1).normal(size=model.initial(np.random.default_rng(0)).size)
    loss, gradient = objective(model, dataset, train[:], parameters, L2)
    parts = shares(model, dataset, train, parameters, n_portions)
    assert sum(part.loss for part in parts) == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(
        sum(part.gradient for part in parts), gradient, rtol=0, atol=1e-13 * abs(gradient).max()
    )


def test_a_share_names_its_largest_number() -> None:
    dataset = Generated("synthetic:linear").load({"examples": 20})
    model = LinearRegression(dataset.n_features)
    parameters = np.random.default_rng(0).normal(size=21)
    (part,) = shares(model, dataset, split(20, 0, seed=0)[0], parameters, 1)
    assert part.largest == abs(part.gradient).max()


@pytest.mark.parametrize("huge", [1e200, 1e308])
def test_a_step_that_was_too_long_shows_in_the_share(huge: float) -> None:
    dataset = Generated("synthetic:linear").load({"examples": 20})
    model = LinearRegression(dataset.n_features)
    (part,) = shares(model, dataset, split(20, 0, seed=0)[0], np.full(21, huge), 1)
    assert not (math.isfinite(part.loss) and math.isfinite(part.largest))


@dataclass
class Watched:
    """A model that notes the examples that it is given at a time; feature 0 is their number."""

    seen: list[list[int]] = field(default_factory=list)
    tensors = (TensorSpec("w", (1,)),)
    task = Task.REGRESSION

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(1)

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        self.seen.append(features[:, 0].astype(int).tolist())
        gradient[:] = features[:, 0].mean()
        return 1.0

    def predict(self, parameters: Vector, features: Features) -> Vector:
        return features[:, 0]


@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize("n_rows", [1, CHUNK_EXAMPLES, CHUNK_EXAMPLES + 1, 5 * CHUNK_EXAMPLES])
def test_memory_is_bounded_by_a_chunk_of_examples(n_rows: int, n_blocks: int) -> None:
    numbers = np.arange(n_rows, dtype=np.float32)
    dataset = Dataset(numbers[:, None], numbers, Schema(1), "numbers", "")
    model = Watched()
    blocks = np.array_split(np.arange(n_rows), n_blocks)  # of a single row, some are empty
    part = compute(model, dataset, blocks, np.zeros(1), n_examples=n_rows, penalty=None)
    assert max(map(len, model.seen)) <= CHUNK_EXAMPLES
    assert list(chain(*model.seen)) == list(range(n_rows))
    assert part.loss == pytest.approx(1.0)
    assert part.gradient[0] == pytest.approx((n_rows - 1) / 2)


class Noted:
    """An array that notes what is asked of it."""

    def __init__(self, values: Vector) -> None:
        self.values = values
        self.asked = list[Any]()

    def __getitem__(self, rows: Any) -> Vector:
        self.asked.append(rows)
        found: Vector = self.values[rows]
        return found


def test_neighbours_are_read_as_a_slice_and_others_by_their_rows() -> None:
    """What a slice of a memory map gives is no copy."""
    numbers = np.arange(30, dtype=np.float32)
    features, model = Noted(numbers[:, None]), Watched()
    dataset = Dataset(features, numbers, Schema(1), "numbers", "")
    blocks = [np.arange(3, 9), np.array([], int), np.array([11, 13, 14]), np.array([29])]
    compute(model, dataset, blocks, np.zeros(1), n_examples=10, penalty=None)
    assert [isinstance(rows, slice) for rows in features.asked] == [True, False, True]
    assert list(chain(*model.seen)) == [*range(3, 9), 11, 13, 14, 29]


# --- which examples


def rows_of(train: ShuffledRows, index: int, n_portions: int) -> list[int]:
    return [int(row) for rows in portion(train, index, n_portions) for row in rows]


@given(
    n_examples=st.integers(1, 300),
    n_portions=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    block=st.sampled_from([7, 64, BLOCK]),
    seed=st.integers(0, 2**40),
)
def test_portions_hold_each_training_example_once_in_the_order_of_the_file(
    n_examples: int, n_portions: int, share: float, block: int, seed: int
) -> None:
    assume(share == 0 or 0 < round(n_examples * share) < n_examples)
    train, _ = split(n_examples, share, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "BLOCK", block)
        splitting._membership.cache_clear()
        parts = [rows_of(train, index, n_portions) for index in range(n_portions)]
    splitting._membership.cache_clear()
    assert list(chain(*parts)) == sorted(train[:])


@given(n_examples=st.integers(1, 10**12), n_portions=st.integers(1, 5000), data=st.data())
def test_a_portion_is_a_range_of_the_file_without_what_is_held_out(
    n_examples: int, n_portions: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, n_portions - 1))
    train, _ = split(n_examples, 0, seed=0)
    first = next((rows for rows in portion(train, index, n_portions) if len(rows)), None)
    size, larger = divmod(n_examples, n_portions)
    if first is None:
        assert (size, index >= larger) == (0, True)
    else:
        assert first[0] == index * size + min(index, larger)
        assert (np.diff(first) == 1).all()


def test_portions_of_many_examples_are_nearly_equal() -> None:
    train, _ = split(40_000, 0.25, seed=0)
    sizes = [len(rows_of(train, index, 40)) for index in range(40)]
    assert abs(np.array(sizes) - 750).max() < 5 * math.sqrt(1000 * 0.25 * 0.75)


def test_a_portion_without_examples_adds_nothing() -> None:
    dataset = Generated("synthetic:linear").load({"examples": 2})
    model = LinearRegression(dataset.n_features)
    parts = shares(model, dataset, split(2, 0, seed=0)[0], np.ones(21), 3)
    assert (parts[2].loss, parts[2].largest) == (0.0, 0.0)
    assert not parts[2].gradient.any()


# --- sums in any order


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Vector], float]:
    """Gradients of portions in either precision, of many magnitudes, and their quantum."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    n_portions, size = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-30, 30))
    spread = 10.0 ** random.uniform(-draw(st.integers(0, 12)), 0, (n_portions, size))
    values = (scale * spread * random.normal(size=(n_portions, size))).astype(dtype)
    most = float(np.abs(values).max()) * n_portions
    # The quantum may come from an evaluation whose sums were smaller, up to the headroom.
    return list(values), quantum(most / draw(st.floats(1, HEADROOM)), dtype)


def added(gradients: list[Vector]) -> Vector:
    """As a shard does: in double, rounded to its dtype after each addition."""
    total = np.zeros_like(gradients[0])
    for gradient in gradients:
        total = (total.astype(np.float64) + gradient.astype(np.float64)).astype(total.dtype)
    return total


@given(batches(), st.randoms(use_true_random=False))
def test_sums_of_rounded_gradients_have_the_same_bits_in_any_order(
    batch: tuple[list[Vector], float], random: Any
) -> None:
    gradients, step = batch
    parts = [rounded(gradient, step) for gradient in gradients]
    in_order = added(parts).tobytes()
    random.shuffle(parts)
    assert added(parts).tobytes() == in_order


@given(batches())
def test_sums_of_rounded_gradients_are_exact(batch: tuple[list[Vector], float]) -> None:
    gradients, step = batch
    parts = [rounded(gradient, step) for gradient in gradients]
    for column, total in zip(np.transpose(parts), added(parts), strict=True):
        assert math.fsum(column.tolist()) == total


@given(batches())
def test_a_sum_is_off_by_at_most_half_a_quantum_for_each_portion(
    batch: tuple[list[Vector], float],
) -> None:
    gradients, step = batch
    total = added([rounded(gradient, step) for gradient in gradients])
    for column, ours in zip(np.transpose(gradients), total, strict=True):
        assert abs(math.fsum(column.tolist()) - ours) <= len(gradients) * step / 2


@given(batches())
def test_rounding_keeps_the_precision_of_the_numbers(batch: tuple[list[Vector], float]) -> None:
    gradients, step = batch
    for gradient in gradients:
        assert rounded(gradient, step).dtype == gradient.dtype


def test_without_a_quantum_nothing_is_rounded() -> None:
    gradient = np.array([0.1, 1e-300])
    assert rounded(gradient, 0.0) is gradient


LARGEST = st.floats(1e-300, 1e300)


@given(LARGEST, st.sampled_from(DTYPES))
def test_a_quantum_is_a_power_of_two(largest: float, kind: type[np.floating]) -> None:
    assert math.frexp(quantum(largest, np.dtype(kind)))[0] == 0.5


@given(LARGEST, st.sampled_from(DTYPES))
def test_sums_are_exact_up_to_the_headroom(largest: float, kind: type[np.floating]) -> None:
    dtype = np.dtype(kind)
    assert is_exact(HEADROOM * largest, quantum(largest, dtype), dtype)


@given(st.floats(1e-30, 1e300), st.sampled_from(DTYPES))
def test_a_finer_quantum_would_not_do(largest: float, kind: type[np.floating]) -> None:
    dtype = np.dtype(kind)
    assert not is_exact(HEADROOM * largest, quantum(largest, dtype) / 4, dtype)


@given(LARGEST, LARGEST, st.sampled_from(DTYPES))
def test_larger_sums_need_no_finer_quantum(
    one: float, other: float, kind: type[np.floating]
) -> None:
    dtype = np.dtype(kind)
    for small, large in pairwise(sorted((one, other))):
        assert quantum(small, dtype) <= quantum(large, dtype)


@pytest.mark.parametrize("largest", [0.0, math.inf, math.nan, 1.7e308])
def test_without_anything_to_go_by_there_is_no_quantum(largest: float) -> None:
    assert quantum(largest, np.dtype("f8")) == 0.0


@pytest.mark.parametrize("kind", DTYPES)
def test_the_smallest_numbers_are_multiples_of_their_quantum(kind: type[np.floating]) -> None:
    dtype = np.dtype(kind)
    gradient = np.array([1, 3], dtype) * np.finfo(dtype).smallest_subnormal
    step = quantum(float(gradient.max()), dtype)
    assert rounded(gradient, step).tolist() == gradient.tolist()


@pytest.mark.parametrize("kind", DTYPES)
def test_nothing_is_exact_without_a_quantum_but_zero(kind: type[np.floating]) -> None:
    assert is_exact(0.0, 0.0, np.dtype(kind))
    assert not is_exact(1e-300, 0.0, np.dtype(kind))


# --- one that takes too long


def test_a_portion_that_takes_too_long_says_what_all_of_it_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [5.0]
    monkeypatch.setattr(task_clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = task_clock.ChunkClock(1.0, 10 * CHUNK_EXAMPLES - 1)
    for seconds in (0.2, 0.25, 3.0):  # in the third this process was stopped
        clock.look()
        now[0] += seconds
    with pytest.raises(task_clock.TooLong) as late:
        clock.look()
    assert late.value.whole_s == pytest.approx(10 * 0.25)


def test_a_portion_of_one_chunk_is_never_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(task_clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = task_clock.ChunkClock(1.0, 3)
    now[0] += 60.0
    clock.look()
    now[0] += 60.0
    assert clock.spent_s == 120.0
