"""Where shards stood, brought back: exactly by the same cut, and never twice by another one."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.store.contract.parameters import ShardState
from distbelief.coordinator.downpour.shard_states import from_json, to_json

SIZE = 24


def cut(n_shards: int, block_numbers: int = 1) -> Layout:
    return Layout((TensorSpec("w", (SIZE,)),), block_numbers, n_shards, n_servers=1)


@st.composite
def cuts(draw: st.DrawFn) -> Layout:
    block_numbers = draw(st.integers(1, SIZE))
    return cut(draw(st.integers(1, -(-SIZE // block_numbers))), block_numbers)


@st.composite
def shard_states(draw: st.DrawFn) -> ShardState:
    """Of a shard: every push that it dealt with was either applied or refused."""
    sequences = draw(st.dictionaries(st.integers(0, 20), st.integers(0, 10**6), max_size=4))
    total = sum(sequences.values())
    refused = draw(st.integers(0, total))
    return ShardState(total - refused, refused, sequences)


def of_shards(layout: Layout) -> st.SearchStrategy[list[ShardState]]:
    return st.lists(shard_states(), min_size=layout.n_shards, max_size=layout.n_shards)


def brought_back(old: Layout, stood: Sequence[ShardState], new: Layout) -> list[ShardState]:
    """By way of a file."""
    return from_json(new, json.loads(json.dumps(to_json(old, stood))))


def overlap(one: slice, other: slice) -> bool:
    numbers = set(range(SIZE)[one])
    return not numbers.isdisjoint(range(SIZE)[other])


@given(cuts(), st.data())
def test_the_same_cut_brings_back_the_same(layout: Layout, data: st.DataObject) -> None:
    stood = data.draw(of_shards(layout))
    assert brought_back(layout, stood, layout) == stood


@given(cuts(), cuts(), st.data())
def test_any_cut_takes_the_highest_sequence_of_the_shards_that_it_covers(
    old: Layout, new: Layout, data: st.DataObject
) -> None:
    stood = data.draw(of_shards(old))
    for shard, shard_state in enumerate(brought_back(old, stood, new)):
        covered = [
            each
            for index, each in enumerate(stood)
            if overlap(old.shard_slice(index), new.shard_slice(shard))
        ]
        assert covered
        streams = {stream for each in covered for stream in each.sequences}
        assert shard_state.sequences == {
            stream: max(each.sequences.get(stream, 0) for each in covered) for stream in streams
        }


@given(cuts(), cuts(), st.data())
def test_after_any_cut_every_push_was_applied_or_refused(
    old: Layout, new: Layout, data: st.DataObject
) -> None:
    for shard_state in brought_back(old, data.draw(of_shards(old)), new):
        assert shard_state.applied + shard_state.refused == sum(shard_state.sequences.values())
        assert shard_state.applied >= 0
        assert shard_state.refused >= 0


TWO = [ShardState(7, 1, {0: 5, 1: 3}), ShardState(8, 0, {0: 6, 2: 2})]


@pytest.mark.parametrize(
    ("n_shards", "expected"),
    [
        (1, [ShardState(10, 1, {0: 6, 1: 3, 2: 2})]),
        # 0 to 8, 8 to 16 (over both), 16 to 24
        (3, [TWO[0], ShardState(10, 1, {0: 6, 1: 3, 2: 2}), TWO[1]]),
        (4, [TWO[0], TWO[0], TWO[1], TWO[1]]),
    ],
)
def test_two_shards_become_one_three_or_four(n_shards: int, expected: list[ShardState]) -> None:
    assert brought_back(cut(2), TWO, cut(n_shards)) == expected


def test_shards_that_stood_at_the_beginning_still_do() -> None:
    assert brought_back(cut(3), [ShardState()] * 3, cut(5)) == [ShardState()] * 5


def test_a_document_says_which_parameters_each_shard_had() -> None:
    parts = [(each["start"], each["stop"]) for each in to_json(cut(2), TWO)]
    assert parts == [(0, 12), (12, 24)]
