"""Where shards stood, in a checkpoint: pure, and independent of how many there were.

Each shard's standing is kept with the range of parameters that it covered. Shards that
are cut as they were get back exactly what they had. One that is cut anew takes, for each
stream, the highest sequence of the shards that it covers: a push that only some of them
had is then lost for the others, rather than applied twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.layout import Layout
from app.store.contract import Standing


def to_json(layout: Layout, standings: Sequence[Standing]) -> list[dict[str, Any]]:
    documents = []
    for shard, standing in enumerate(standings):
        part = layout.shard_slice(shard)
        sequences = {str(stream): last for stream, last in standing.sequences.items()}
        documents.append(
            {
                "start": part.start,
                "stop": part.stop,
                "applied": standing.applied,
                "refused": standing.refused,
                "sequences": sequences,
            }
        )
    return documents


def from_json(layout: Layout, documents: Sequence[Mapping[str, Any]]) -> list[Standing]:
    """The standing of each shard of ``layout``."""
    return [_over(layout.shard_slice(shard), documents) for shard in range(layout.n_shards)]


def _over(part: slice, documents: Sequence[Mapping[str, Any]]) -> Standing:
    covered = [
        each for each in documents if each["start"] < part.stop and part.start < each["stop"]
    ]
    streams = {int(stream) for each in covered for stream in each["sequences"]}
    sequences = {
        stream: max(each["sequences"].get(str(stream), 0) for each in covered)
        for stream in sorted(streams)
    }
    # Every push that was dealt with was either applied or refused.
    refused = max(each["refused"] for each in covered)
    return Standing(sum(sequences.values()) - refused, refused, sequences)
