"""Downpour's shards, captured for a checkpoint and restored from one.

Each shard's parameters, slots and sequence numbers are copied on its server at one time and
read from the copy, so nothing waits for a checkpoint. Shards are independent of one
another: only those that lost their data come back from it, and the replicas make again
what these are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from distbelief.app.errors import ModelMissing
from distbelief.app.files.checkpoint import Checkpoint, understood
from distbelief.app.layout.keys import BEST, PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.store.contract.parameters import ParameterStore, ShardCounts, ShardState
from distbelief.coordinator.downpour.shard_states import from_json, to_json
from distbelief.coordinator.runs.checkpoints import Capture


@dataclass(frozen=True)
class Restored:
    """The states of all shards after a restoration.

    ``checkpoint`` is what lost shards came back from, None if there were none; ``lines`` say so.
    """

    shard_states: Sequence[ShardState]
    checkpoint: Checkpoint | None
    lines: list[str]


def capture(
    store: ParameterStore, driver: Mapping[str, Any], *, best: bool, rank: float | None
) -> Capture:
    """The state at this time; ``best`` tells whether there is a best model to keep."""
    frozen = {name: named(f"checkpoint:{name}") for name in [*_names(store), *[BEST] * best]}
    shard_states = store.freeze(frozen)

    def vectors() -> Iterator[tuple[str, npt.NDArray[Any]]]:
        for name, copy in frozen.items():
            yield name, store.fetch(copy).vector
            for index, rows in enumerate(store.touched(copy)):
                ids, values = _of_table(name, index)
                yield ids, rows.ids
                yield values, rows.values

    return Capture(
        document={"driver": driver, "shards": to_json(store.layout, shard_states)},
        vectors=vectors,
        release=lambda: store.drop(*frozen.values()),
        rank=rank,
    )


def restore(
    store: ParameterStore,
    fence: int,
    latest: Callable[[], Checkpoint],
    known: Sequence[ShardCounts],
) -> Restored:
    """Restore the shards that lost their data, and put all of them under ``fence``.

    ``known`` is what they had applied when they were seen last, empty if they were not.

    Raises:
        CheckpointError: some are lost, and there is no checkpoint.
        ModelMissing: a server lost its data again meanwhile.
    """
    store.fence, saved, lines = fence, None, []
    found = store.shard_states()
    lost = [shard for shard, shard_state in enumerate(found) if shard_state is None]
    if lost:
        saved, acknowledged = latest(), _acknowledged(found)
        with understood(saved) as document:
            shard_states = from_json(store.layout, document["shards"])
        vectors = {name: saved.vector(name) for name in _names(store)}
        tables = {name: tables_of(store.layout, saved, name) for name in vectors}
        store.restore({shard: shard_states[shard] for shard in lost}, vectors, tables)
        lines = [_loss(shard, shard_states[shard], saved, known, acknowledged) for shard in lost]
    store.raise_fence(fence)
    if saved is not None and BEST in saved:  # on all shards: its parts belong together
        store.put(BEST, saved.vector(BEST), tables_of(store.layout, saved, BEST))
    store.drop(*sorted(store.named_vectors() - {BEST}))
    present = [shard_state for shard_state in store.shard_states() if shard_state is not None]
    if len(present) < store.layout.n_shards:
        raise ModelMissing("a parameter server lost its data again while it was restored")
    return Restored(present, saved, lines)


def _names(store: ParameterStore) -> list[str]:
    return [PARAMETERS, *(slot(name) for name in store.rule.slots)]


def _of_table(name: str, index: int) -> tuple[str, str]:
    """The names of the ids and the values of a vector's table in a checkpoint."""
    return f"{name}/ids{index}", f"{name}/values{index}"


def tables_of(layout: Layout, saved: Checkpoint, name: str) -> list[TableRows]:
    """The rows of a vector's tables in a checkpoint."""
    names = [_of_table(name, index) for index in range(len(layout.tables))]
    return [TableRows(saved.vector(ids), saved.vector(values)) for ids, values in names]


def _acknowledged(found: Sequence[ShardState | None]) -> Counter[int]:
    """Pushes of each stream that all shards had: those that are left, but for one in flight."""
    acknowledged: Counter[int] = Counter()
    for shard_state in found:
        for stream, last in shard_state.sequences.items() if shard_state is not None else ():
            acknowledged[stream] = max(acknowledged[stream], last - 1)
    return acknowledged


def _loss(
    shard: int,
    shard_state: ShardState,
    saved: Checkpoint,
    known: Sequence[ShardCounts],
    acknowledged: Counter[int],
) -> str:
    text = (
        f"shard {shard} came back from checkpoint {saved.path.name}, {shard_state.applied} updates"
    )
    # A subtraction of counters leaves out what is not positive.
    lost = (acknowledged - Counter(shard_state.sequences)).total()
    if known:
        lost = max(lost, known[shard].applied - shard_state.applied)
    elif not lost:
        return text
    return f"{text}; at least {lost} were lost and are made again"
