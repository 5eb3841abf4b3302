"""States of shards in a checkpoint: pure, and independent of how many shards there were.

Each shard's state is kept with the range of parameters that it covered. Shards that
are cut as they were get back exactly what they had. One that is cut anew takes, for each
stream, the highest sequence of the shards that it covers: a push that only some of them
had is then lost for the others, rather than applied twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distbelief.app.layout.layout import Layout
from distbelief.app.store.contract.parameters import ShardState


def to_json(layout: Layout, shard_states: Sequence[ShardState]) -> list[dict[str, Any]]:
    documents = []
    for shard, shard_state in enumerate(shard_states):
        part = layout.shard_slice(shard)
        sequences = {str(stream): last for stream, last in shard_state.sequences.items()}
        documents.append(
            {
                "start": part.start,
                "stop": part.stop,
                "table_shard": shard - layout.n_dense_shards,
                "applied": shard_state.applied,
                "refused": shard_state.refused,
                "sequences": sequences,
            }
        )
    return documents


def from_json(layout: Layout, documents: Sequence[Mapping[str, Any]]) -> list[ShardState]:
    """The state of each shard of ``layout``."""
    dense = [each for each in documents if each["table_shard"] < 0]
    tables = [each for each in documents if each["table_shard"] >= 0]
    parts = [layout.shard_slice(shard) for shard in range(layout.n_dense_shards)]
    # The blocks of tables are dealt anew where there are more or fewer shards.
    as_before = len(tables) == layout.n_table_shards
    return [
        *(_joined([each for each in dense if _overlap(each, part)]) for part in parts),
        *(_joined([tables[i]] if as_before else tables) for i in range(layout.n_table_shards)),
    ]


def _overlap(document: Mapping[str, Any], part: slice) -> bool:
    return bool(document["start"] < part.stop and part.start < document["stop"])


def _joined(covered: Sequence[Mapping[str, Any]]) -> ShardState:
    streams = {int(stream) for each in covered for stream in each["sequences"]}
    sequences = {
        stream: max(each["sequences"].get(str(stream), 0) for each in covered)
        for stream in sorted(streams)
    }
    # Every push that was dealt with was either applied or refused.
    refused = max(each["refused"] for each in covered)
    return ShardState(sum(sequences.values()) - refused, refused, sequences)
