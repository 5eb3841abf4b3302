"""Every number lies in one place, evenly spread, and everybody computes the same place."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import LayoutError
from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.app.layout.tensors import TensorSpec, views

SHAPES = st.lists(st.lists(st.integers(1, 9), max_size=3).map(tuple), min_size=1, max_size=6)
TENSORS = SHAPES.map(
    lambda shapes: tuple(TensorSpec(f"t{i}", s, i % 2 == 0) for i, s in enumerate(shapes))
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    tensors = draw(TENSORS)
    block_numbers = draw(st.integers(1, 40))
    n_blocks = math.ceil(sum(tensor.size for tensor in tensors) / block_numbers)
    n_shards = draw(st.integers(1, n_blocks))
    return Layout(tensors, block_numbers, n_shards, draw(st.integers(1, 5)))


def layout_of(size: int, block_numbers: int = 10, n_shards: int = 1, n_servers: int = 1) -> Layout:
    return Layout((TensorSpec("w", (size,)),), block_numbers, n_shards, n_servers)


@given(layouts())
def test_every_number_lies_in_exactly_one_block(layout: Layout) -> None:
    covered = [i for b in range(layout.n_blocks) for i in range(layout.size)[layout.block_slice(b)]]
    assert covered == list(range(layout.size))


@given(layouts())
def test_every_block_lies_in_exactly_one_shard(layout: Layout) -> None:
    covered = [block for shard in range(layout.n_shards) for block in layout.blocks(shard)]
    assert covered == list(range(layout.n_blocks))


@given(layouts())
def test_every_number_lies_in_exactly_one_shard(layout: Layout) -> None:
    covered = [i for s in range(layout.n_shards) for i in range(layout.size)[layout.shard_slice(s)]]
    assert covered == list(range(layout.size))


@given(layouts())
def test_a_shard_is_the_slice_of_its_blocks(layout: Layout) -> None:
    for shard in range(layout.n_shards):
        numbers = [range(layout.size)[layout.block_slice(b)] for b in layout.blocks(shard)]
        whole = range(layout.size)[layout.shard_slice(shard)]
        assert [i for part in numbers for i in part] == list(whole)


@given(layouts())
def test_shards_differ_by_at_most_one_block(layout: Layout) -> None:
    sizes = [len(layout.blocks(shard)) for shard in range(layout.n_shards)]
    assert max(sizes) - min(sizes) <= 1


@given(layouts())
def test_every_shard_lies_on_a_server_that_exists(layout: Layout) -> None:
    assert {layout.server(s) for s in range(layout.n_shards)} <= set(range(layout.n_servers))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 60))
def test_servers_differ_by_at_most_one_block_when_each_has_as_many_shards(
    n_servers: int, rounds: int, extra: int
) -> None:
    n_shards = n_servers * rounds
    layout = layout_of(10 * (n_shards + extra), n_shards=n_shards, n_servers=n_servers)
    blocks = [0] * n_servers
    for shard in range(n_shards):
        blocks[layout.server(shard)] += len(layout.blocks(shard))
    assert max(blocks) - min(blocks) <= 1


@given(layouts())
def test_a_layout_survives_json(layout: Layout) -> None:
    again = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    assert again == layout
    assert again.digest == layout.digest


@pytest.mark.parametrize(
    "other",
    [
        Layout((TensorSpec("w", (10, 10)),), 10, 2, 2),
        Layout((TensorSpec("v", (100,)),), 10, 2, 2),
        Layout((TensorSpec("w", (100,), penalised=False),), 10, 2, 2),
        layout_of(101, 10, 2, 2),
        layout_of(100, 11, 2, 2),
        layout_of(100, 10, 3, 2),
        layout_of(100, 10, 2, 1),
    ],
    ids=["shape", "name", "penalised", "size", "block_numbers", "n_shards", "n_servers"],
)
def test_another_layout_has_another_digest(other: Layout) -> None:
    assert other.digest != layout_of(100, 10, 2, 2).digest


def test_the_digest_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "from distbelief.app.layout.layout import Layout, TensorSpec\n"
        "print(Layout((TensorSpec('w', (4, 5)), TensorSpec('b', (5,), False)), 7, 2, 2).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = Layout((TensorSpec("w", (4, 5)), TensorSpec("b", (5,), False)), 7, 2, 2).digest
    assert digests == {here}


@given(st.integers(1, 5_000_000), st.integers(1, 65_536), st.integers(1, 6))
def test_planned_shards_are_short_enough_for_one_call(size: int, block: int, servers: int) -> None:
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=servers, block_numbers=block)
    # Shard 0 is one of the largest. It may be longer only if it is a single block.
    assert layout.blocks(0) == range(1) or len(layout.blocks(0)) * block <= MAX_SHARD_NUMBERS


@given(st.integers(1, 100_000), st.integers(1, 65_536), st.integers(1, 6))
def test_a_plan_never_has_more_shards_than_blocks(size: int, block: int, servers: int) -> None:
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=servers, block_numbers=block)
    assert layout.n_shards <= layout.n_blocks


@given(st.integers(1, 5_000_000), st.integers(1, 65_536), st.integers(1, 6))
def test_a_plan_gives_each_server_as_many_shards_where_there_are_blocks_enough(
    size: int, block: int, servers: int
) -> None:
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=servers, block_numbers=block)
    assert layout.n_shards % servers == 0 or layout.n_shards == layout.n_blocks


def test_a_plan_takes_the_number_of_shards_that_it_is_given() -> None:
    tensors = [TensorSpec("w", (100,))]
    assert Layout.plan(tensors, n_servers=2, block_numbers=10, n_shards=7).n_shards == 7


def test_more_shards_than_blocks_are_refused_with_the_number_that_is_possible() -> None:
    with pytest.raises(LayoutError, match=r"11 shards are more than the 10 blocks.*at most 10 "):
        layout_of(100, n_shards=11)


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"must differ from one another, got \['w', 'w'\]"):
        Layout((TensorSpec("w", (1,)), TensorSpec("w", (2,))), 1, 1, 1)


@pytest.mark.parametrize("tensors", [(), (TensorSpec("w", (3, 0)),)], ids=["none", "no numbers"])
def test_nothing_to_lay_out_is_refused(tensors: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(LayoutError, match="every tensor needs at least one number"):
        Layout.plan(tensors, n_servers=2, block_numbers=10)


@pytest.mark.parametrize("name", ["block_numbers", "n_shards", "n_servers"])
def test_a_count_below_one_is_refused_by_name(name: str) -> None:
    counts = {"block_numbers": 10, "n_shards": 1, "n_servers": 1, name: 0}
    with pytest.raises(LayoutError, match=f"{name} must be at least 1, got 0"):
        Layout.plan([TensorSpec("w", (100,))], **counts)


@given(TENSORS)
def test_views_are_views_that_cover_the_vector_in_order(tensors: tuple[TensorSpec, ...]) -> None:
    vector = np.arange(sum(tensor.size for tensor in tensors), dtype=np.float32)
    parts = views(vector, tensors)
    assert [part.shape for part in parts] == [tensor.shape for tensor in tensors]
    assert np.array_equal(np.concatenate([part.ravel() for part in parts]), vector)
    assert all(np.shares_memory(part, vector) for part in parts)


@given(layouts())
def test_the_penalty_mask_covers_the_penalised_tensors(layout: Layout) -> None:
    mask = views(layout.penalty_mask().astype(np.float64), layout.tensors)
    for tensor, part in zip(layout.tensors, mask, strict=True):
        assert (part == tensor.penalised).all()
    assert layout.n_penalised == np.count_nonzero(layout.penalty_mask())


@given(layouts(), st.data())
def test_stretches_of_any_blocks_cover_what_the_penalty_mask_covers(
    layout: Layout, data: st.DataObject
) -> None:
    first, last = sorted(data.draw(st.lists(st.integers(0, layout.n_blocks - 1), min_size=2)))[:2]
    part = slice(layout.block_slice(first).start, layout.block_slice(last).stop)
    stretches = layout.penalised(part)
    covered = [i for start, end in stretches for i in range(start, end)]
    assert covered == np.flatnonzero(layout.penalty_mask()[part]).tolist()
    assert all(start < end for start, end in stretches)
