"""What people are told of shards that came back with older data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distbelief.app.runs.record import RunRecord
from distbelief.app.store.contract.parameters import ShardState
from distbelief.app.store.contract.standings import Standing, Standings


def place(record: RunRecord | None, shard: int) -> str:
    """A shard, and where its server is, if that is known."""
    if record is None or not record.parameter_servers:
        return f"shard {shard}"
    return f"shard {shard} on {record.parameter_servers[record.layout.server(shard)]}"


def went_back(found: Sequence[ShardState | None], known: Standings) -> Iterator[int]:
    """The shards that are there, but do not stand where they are known to have stood."""
    for shard, state in enumerate(found):
        if state is not None and state.standing < known[shard]:
            yield shard


def older_shards(
    record: RunRecord, found: Sequence[ShardState | None], *known: Standings
) -> list[str]:
    """Say which shards lack changes that they are ``known`` to have had, and how many."""
    lines, latest = [], tuple(map(max, *known))
    for shard in went_back(found, latest):
        state = found[shard]
        assert state is not None
        lost = _changes_lost(state.standing, latest[shard])
        lines.append(f"{place(record, shard)} came back with older data: {lost} behind")
    return lines


def incomplete_shards(
    record: RunRecord | None, found: Sequence[ShardState | None]
) -> Iterator[str]:
    """Say which shards do not have all that the run needs."""
    for shard, state in enumerate(found):
        if state is None:
            yield f"{place(record, shard)} lacks vectors that the run needs"


def _changes_lost(found: Standing, known: Standing) -> str:
    """How far a shard went back; under an older fence at least as far as that is known."""
    if found.fence < known.fence:
        return f"more than {known.change} changes"
    lost = known.change - found.change
    return f"{lost} change{'s' * (lost != 1)}"
