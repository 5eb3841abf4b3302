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

from distbelief.app.errors import CheckpointError, ModelMissing
from distbelief.app.files.checkpoint import Checkpoint, understood
from distbelief.app.layout.keys import BEST, PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.runs.record import RunRecord
from distbelief.app.store.contract.parameters import (
    ParameterStore,
    ShardCounts,
    ShardState,
    behind,
)
from distbelief.app.store.contract.standings import Standings
from distbelief.coordinator.downpour.acknowledged import updates_lost
from distbelief.coordinator.downpour.shard_states import from_json, to_json
from distbelief.coordinator.runs.checkpoints import Capture
from distbelief.coordinator.runs.older import place, went_back


@dataclass(frozen=True)
class Restored:
    """The states of all shards after a restoration.

    ``checkpoint`` is what lost shards came back from, None if there were none. If the best
    snapshot is no more that which it was, ``best`` is the number of the evaluation whose snapshot
    is there in its place, 0 if none is.
    """

    shard_states: Sequence[ShardState]
    checkpoint: Checkpoint | None
    best: int | None = None


@dataclass(frozen=True)
class Known:
    """What shards had, as far as their coordinator knows.

    ``counts`` is what they had applied when they were seen last, empty if they were not;
    ``acknowledged`` the last push of each stream that all had; ``best`` where they stood since
    they had the best snapshot, empty if there is none.
    """

    record: RunRecord | None = None
    counts: Sequence[ShardCounts] = ()
    acknowledged: Sequence[int] = ()
    best: Standings = ()


def capture(
    store: ParameterStore, driver: Mapping[str, Any], *, best: bool, rank: float | None
) -> Capture:
    """The state at this time; ``best`` tells whether there is a best model to keep."""
    frozen = {name: named(f"checkpoint:{name}") for name in _names(store)}
    shard_states = store.freeze(frozen)
    if best:  # whose moment was another: a server has a shorter call for it
        frozen[BEST] = named(f"checkpoint:{BEST}")
        store.copy(BEST, frozen[BEST])

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
    known: Known,
    say: Callable[[str], None] = lambda _: None,
    *,
    wholly: bool = False,
) -> Restored:
    """Restore the shards that lost their data, or all, and put all of them under ``fence``.

    ``say`` is told of each that came back, and with what.

    A shard that went back is taken for what it is: consistent in itself, it only lacks pushes,
    which are made again.

    Raises:
        CheckpointError: some are lost, and there is no checkpoint.
        DataLost: a server lost data again meanwhile.
    """
    store.fence, saved = fence, None
    found = store.shard_states()
    if wholly:
        found = [None] * len(found)
    lost = [shard for shard, shard_state in enumerate(found) if shard_state is None]
    for line in _set_back(found, store.standings, known):
        say(line)
    best_lost = bool(known.best) and bool([*went_back(found, known.best)])
    store.accept(found)
    if lost:
        saved, acknowledged = latest(), _acknowledged(found)
        with understood(saved) as document:
            shard_states = from_json(store.layout, document["shards"])
        vectors = {name: saved.vector(name) for name in _names(store)}
        tables = {name: tables_of(store.layout, saved, name) for name in vectors}
        store.restore({shard: shard_states[shard] for shard in lost}, vectors, tables)
        counts = known.counts
        for shard in lost:
            say(_loss(shard, shard_states[shard], saved, counts, acknowledged))
    store.raise_fence(fence)
    best = _bring_back_best(store, saved, latest) if saved is not None or best_lost else None
    store.drop(*sorted(store.named_vectors() - {BEST}))
    present = []
    for shard, state in enumerate(store.shard_states()):
        if state is None:
            raise ModelMissing("a parameter server lost its data again while it was restored")
        if state.standing < store.standings[shard]:
            raise behind(shard)
        present.append(state)
    if best is not None and saved is None:
        say(_best_line(best))
    return Restored(present, saved, best)


def _bring_back_best(
    store: ParameterStore, saved: Checkpoint | None, latest: Callable[[], Checkpoint]
) -> int:
    """Put the best snapshot of a checkpoint on all shards: its parts belong together.

    Returns the number of its evaluation, 0 if there is none to be had.
    """
    try:
        saved = latest() if saved is None else saved
    except CheckpointError:  # nothing else was lost: worth no run
        return 0
    if BEST not in saved:
        return 0
    store.put(BEST, saved.vector(BEST), tables_of(store.layout, saved, BEST))
    return int(saved.document["driver"].get("evaluations", {}).get("best") or 0)


def _best_line(number: int) -> str:
    lost = "the best model so far was lost with it"
    if number:
        return f"{lost}: that of evaluation {number}, from the checkpoint, is in its place"
    return f"{lost}, and no checkpoint has one: the next evaluation is the best one"


def _set_back(
    found: Sequence[ShardState | None], standings: Standings, known: Known
) -> Iterator[str]:
    """Say which shards came back with older data, and what that means."""
    for shard, state in enumerate(found):
        before = known.counts[shard] if known.counts else None
        lost = updates_lost(state, known.acknowledged, before) if state is not None else 0
        if state is None or (lost <= 0 and state.standing >= standings[shard]):
            continue
        what = "no update was lost"
        if lost > 0:
            what = f"{lost} update{'s' * (lost != 1)} were lost and are made again"
        yield f"{place(known.record, shard)} came back with older data: {what}"


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
