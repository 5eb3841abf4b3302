"""What the shards have acknowledged, as far as the coordinator knows: none may have less.

A unit that was reported done had all its pushes on every shard. A shard without them went back:
its server came back with older data.
"""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.errors import ShardBehind
from distbelief.app.store.contract.parameters import (
    ParameterStore,
    ShardCounts,
    ShardState,
    behind,
    missing,
)


def look(
    store: ParameterStore, acknowledged: Sequence[int], before: Sequence[ShardCounts]
) -> list[ShardCounts]:
    """The updates that each shard applied and refused.

    Args:
        store: the run's.
        acknowledged: for each stream the last push that all shards have acknowledged.
        before: what the shards had when they were seen last, empty if they were not.

    Raises:
        DataLost: a shard is not there, or has less.
    """
    found = list[ShardCounts]()
    for shard, state in enumerate(store.shard_states()):
        if state is None:
            raise missing(shard)
        if state.standing < store.standings[shard]:
            raise behind(shard)
        lost = updates_lost(state, acknowledged, before[shard] if before else None)
        if lost:
            raise ShardBehind(
                f"shard {shard} lacks {lost} updates that it had acknowledged: its server came "
                "back with older data"
            )
        found.append(ShardCounts(state.applied, state.refused))
    return found


def check_sequences(last: Sequence[int], acknowledged: Sequence[int]) -> None:
    """Raise ShardBehind if the first shard, which has these last pushes of streams, has less."""
    for stream, (sequence, known) in enumerate(zip(last, acknowledged, strict=False)):
        if sequence < known:
            raise ShardBehind(
                f"shard 0 stands at push {sequence} of stream {stream}, and had acknowledged "
                f"{known}: its server came back with older data"
            )


def updates_lost(state: ShardState, acknowledged: Sequence[int], before: ShardCounts | None) -> int:
    """How many updates a shard lacks of those that it is known to have had, at least."""
    gaps = (known - state.sequences.get(stream, 0) for stream, known in enumerate(acknowledged))
    lost = sum(gap for gap in gaps if gap > 0)
    if before is None:
        return lost
    return max(lost, before.applied + before.refused - state.applied - state.refused)
