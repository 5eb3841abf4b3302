"""Refusals that all parameter stores share, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from distbelief.app.errors import Fenced, LayoutError, NotFinite, ServerRefused, ShardBehind
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.parameters import Answer, Positions, behind, missing


def check_values(layout: Layout, vectors: Iterable[Vector]) -> None:
    """Raise unless each of ``vectors`` has a finite number for every parameter."""
    for vector in vectors:
        if vector.shape != (layout.size,):
            raise LayoutError(f"every vector needs {layout.size} numbers, got {vector.shape}")
        if not np.isfinite(vector).all():
            raise NotFinite(f"a vector of {vector.dtype} would hold NaN or infinity")


def check_gradient(layout: Layout, gradient: Vector, blocks: Sequence[int] | None) -> None:
    """Raise ServerRefused for a push that not every shard could take."""
    size = layout.size
    if blocks is not None:
        if any(not 0 <= block < layout.n_blocks for block in blocks):
            raise ServerRefused(f"blocks must be 0 to {layout.n_blocks - 1}, got {blocks}")
        if any(later <= earlier for earlier, later in pairwise(blocks)):
            raise ServerRefused(f"blocks must be in ascending order, got {blocks}")
        size = sum(part.stop - part.start for part in map(layout.block_slice, blocks))
    if gradient.shape != (size,):
        raise ServerRefused(f"the gradient must have shape ({size},), got {gradient.shape}")


def refuse_overwriting(out: str, terms: Iterable[str]) -> None:
    """Raise ServerRefused if a vector is to be written that is read for it."""
    if out in terms:
        raise ServerRefused(f"an operation must not write over its own term {out}")


def check_rows(layout: Layout, rows: Tables) -> None:
    """Raise ServerRefused for rows that are not those of the layout's tables."""
    if rows and len(rows) != len(layout.tables):
        raise ServerRefused(f"rows of {len(layout.tables)} tables are needed, got {len(rows)}")
    for table, part in zip(layout.tables, rows, strict=False):
        name, ids = table.spec.name, part.ids
        if part.values.shape != (len(ids), table.width):
            raise ServerRefused(
                f"{len(ids)} rows of {name} must have shape ({len(ids)}, {table.width}), "
                f"got {part.values.shape}"
            )
        if len(ids) and not (ids[0] >= 0 and ids[-1] < table.n_rows):
            raise ServerRefused(f"rows of {name} must be 0 to {table.n_rows - 1}")
        if (np.diff(ids) <= 0).any():
            raise ServerRefused(f"rows of {name} must be in ascending order")


def check_answers(answers: Sequence[Answer], positions: Positions, sequence: int) -> None:
    """Raise for the answers after which a replica cannot simply go on."""
    for shard, answer in enumerate(answers):
        if answer is Answer.NOMODEL:
            raise missing(shard)
        if answer is Answer.BEHIND:
            raise behind(shard)
        if answer is Answer.FENCED:
            raise Fenced(f"shard {shard} is fenced: a newer attempt or coordinator took over")
    for shard, answer in enumerate(answers):
        if answer is Answer.GAP:
            raise ShardBehind(
                f"shard {shard} stands at sequence {positions.sequences[shard]}, "
                f"so it cannot take {sequence}: its server came back with older data"
            )


def check_sequences(positions: Positions, acknowledged: int) -> None:
    """Raise ShardBehind unless all shards have as many pushes as they had acknowledged."""
    for shard, sequence in enumerate(positions.sequences.tolist()):
        if sequence < acknowledged:
            raise ShardBehind(
                f"shard {shard} stands at sequence {sequence}, and had acknowledged "
                f"{acknowledged}: its server came back with older data"
            )
