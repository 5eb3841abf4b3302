"""A shard's meta hash: its fields as replies and scripts have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from distbelief.app.store.contract.parameters import Positions, ShardState
from distbelief.app.store.contract.standings import Standing


def shard_state_of(meta: Sequence[bytes]) -> ShardState:
    """Read the state of a shard from its meta hash: fields and values one after another."""
    fields = dict(zip(map(bytes.decode, meta[::2]), meta[1::2], strict=True))
    sequences = {
        int(name.removeprefix("seq:")): int(value)
        for name, value in fields.items()
        if name.startswith("seq:")
    }
    standing = standing_of(fields["fence"], fields.get("change"))
    return ShardState(int(fields["clock"]), int(fields["refused"]), sequences, standing)


def standing_of(fence: bytes | None, change: bytes | None) -> Standing:
    """Where a shard stands, by two fields of its meta hash; runs of old know no changes."""
    return Standing(int(fence or 0), int(change or 0))


def fields_of(shard_state: ShardState) -> str:
    """Write the state of a shard as fields and values with commas between, for ``create.lua``."""
    fields = {"clock": shard_state.applied, "refused": shard_state.refused}
    fields |= {f"seq:{stream}": last for stream, last in shard_state.sequences.items()}
    return ",".join(f"{name},{value}" for name, value in fields.items())


def positions(pairs: Iterable[Sequence[int]]) -> Positions:
    table = np.array(list(pairs), dtype=np.int64)
    return Positions(table[:, 0], table[:, 1])
