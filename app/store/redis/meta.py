"""Where a shard stands: the fields of its meta hash, as replies and scripts have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from distbelief.app.store.contract.parameters import Positions, Standing


def standing_of(meta: Sequence[bytes]) -> Standing:
    """Of a shard's meta hash, as its fields and values one after another."""
    fields = dict(zip(map(bytes.decode, meta[::2]), meta[1::2], strict=True))
    sequences = {
        int(name.removeprefix("seq:")): int(value)
        for name, value in fields.items()
        if name.startswith("seq:")
    }
    return Standing(int(fields["clock"]), int(fields["refused"]), sequences)


def fields_of(standing: Standing) -> str:
    """The other way round, for the script that writes them."""
    fields = {"clock": standing.applied, "refused": standing.refused}
    fields |= {f"seq:{stream}": last for stream, last in standing.sequences.items()}
    return ",".join(f"{name},{value}" for name, value in fields.items())


def positions(pairs: Iterable[Sequence[int]]) -> Positions:
    table = np.array(list(pairs), dtype=np.int64)
    return Positions(table[:, 0], table[:, 1])
