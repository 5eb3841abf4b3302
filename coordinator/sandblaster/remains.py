"""What the shards still hold of a minimisation, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.runs.record import RunRecord
from distbelief.app.store.contract.standings import Standings
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.coordinator.runs.older import incomplete_shards, older_shards, went_back


@dataclass(frozen=True)
class Remains:
    """Whether all of an iteration is there, and whether something after it is not."""

    whole: bool
    older: bool


def look(
    store: VectorStore,
    record: RunRecord,
    known: Standings,
    names: Sequence[str],
    say: Callable[[str], None],
) -> Remains:
    """Look for the vectors of an iteration, after which the shards were ``known`` to stand so."""
    found = store.shard_states()
    older = older_shards(record, found, store.standings, known)
    store.accept(found)
    complete = store.shard_states(*names)
    for line in (*older, *incomplete_shards(record, complete)):
        say(line)
    return Remains(None not in complete and not [*went_back(found, known)], bool(older))


def came_back(saved: Checkpoint, iteration: int, before: int) -> str:
    """What is said of vectors that came back as a checkpoint has them."""
    return (
        f"the vectors came back from checkpoint {saved.path.name}, iteration {iteration}; "
        f"{max(0, before - iteration)} iterations were lost and are made again"
    )
