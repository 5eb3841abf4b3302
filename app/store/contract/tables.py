"""Rows of tables on their way to and from shards: where they are, and how they are packed.

Pure: nothing here talks to a server. A shard's hash of a vector has a field for each block
that was touched, and the field ``MARK``, which tells a vector without any block from one
that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distbelief.app.layout.draws import drawn, keys
from distbelief.app.layout.keys import slot
from distbelief.app.layout.layout import Layout, Table
from distbelief.app.layout.rows import Ids, TableRows
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.coding import encode

MARK = "rows"

Float = np.dtype[np.floating]
#: From the numbers that the seed draws to those that a vector begins with in their place.
Begin = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def shards_of(layout: Layout, table: Table, blocks: Ids) -> Ids:
    """The shard of each block, counted within the table."""
    shards: Ids = layout.n_dense_shards + (table.first_block + blocks) % layout.n_table_shards
    return shards


def initial_values(layout: Layout, table: Table, blocks: Ids) -> npt.NDArray[np.float64]:
    """First values of blocks, shape (len(blocks), numbers in a block); see ``push_rows.lua``."""
    count = table.rows_per_block * table.width
    spread = table.spec.spread or 0.0
    if not spread:
        return np.zeros((len(blocks), count))
    numbers = blocks[:, None] * count + np.arange(count)
    return spread * drawn(keys(layout.seed, table.spec.name), numbers)


def beginning(rule: Rule, name: str) -> Begin:
    """The first values of the parameters, or of one of the rule's slots beside them."""
    for each in rule.slots:
        if name == slot(each):
            return lambda drawn: rule.initial_slots(drawn)[each]
    return lambda drawn: drawn


@dataclass(frozen=True)
class _Part:
    """The rows of one table that are asked for.

    ``blocks`` are in the order of the shards; row i is row ``within[i]`` of the block that
    comes as number ``block[i]``. ``counts`` is how many blocks come from each table shard.
    """

    table: Table
    blocks: Ids
    block: Ids
    within: Ids
    counts: Ids


@dataclass(frozen=True)
class Request:
    """Rows of tables, cut into the fields to ask of each table shard."""

    layout: Layout
    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, layout: Layout, rows: Sequence[Ids]) -> Request:
        """``rows`` of each table of the layout, ascending; of none if it is empty."""
        pairs = zip(layout.tables, rows, strict=True) if rows else ()
        return cls(layout, tuple(_part(layout, table, ids) for table, ids in pairs))

    def fields(self, shard: int) -> list[str | int]:
        """Fields to ask of a shard: the mark, then the blocks of one table after another."""
        fields: list[str | int] = [MARK]
        for part in self.parts:
            start = int(part.counts[: shard - self.layout.n_dense_shards].sum())
            stop = start + int(part.counts[shard - self.layout.n_dense_shards])
            fields += (part.table.first_block + part.blocks[start:stop]).tolist()
        return fields

    def rows(
        self, replies: Sequence[Sequence[bytes | None]], dtype: Float, begin: Begin
    ) -> tuple[Vector, ...]:
        """The rows of each table, shape (n, width), from what each table shard replied."""
        starts, tables = [1] * len(replies), []
        for part in self.parts:
            packed: list[bytes | None] = []
            for index, count in enumerate(part.counts.tolist()):
                packed += replies[index][starts[index] : starts[index] + count]
                starts[index] += count
            values = _unpacked(self.layout, part.table, part.blocks, packed, dtype, begin)
            tables.append(values[part.block, part.within])
        return tuple(tables)


def _part(layout: Layout, table: Table, ids: Ids) -> _Part:
    of_row, within = np.divmod(ids, table.rows_per_block)
    blocks, position = np.unique(of_row, return_inverse=True)
    shards = shards_of(layout, table, blocks) - layout.n_dense_shards
    order = np.argsort(shards, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    counts = np.bincount(shards, minlength=layout.n_table_shards)
    return _Part(table, blocks[order], rank[position], within, counts)


def _unpacked(
    layout: Layout,
    table: Table,
    blocks: Ids,
    packed: Sequence[bytes | None],
    dtype: Float,
    begin: Begin,
) -> Vector:
    """Blocks as an array (n, rows in a block, width); those that do not exist yet begin."""
    numbers = table.rows_per_block * table.width
    values = np.empty((len(blocks), numbers), dtype)
    there = np.array([block is not None for block in packed], dtype=bool)
    stored = b"".join(block for block in packed if block is not None)
    values[there] = np.frombuffer(stored, dtype).reshape(-1, numbers)
    values[~there] = begin(initial_values(layout, table, blocks[~there]))
    return values.reshape(len(blocks), table.rows_per_block, table.width)


def packed_gradient(
    layout: Layout, rows: Sequence[TableRows], dtype: Float, wire: Wire = "float32"
) -> list[tuple[str, bytes]]:
    """For each table shard what ``push_rows.lua`` wants to know of the rows there."""
    indices = range(layout.n_table_shards)
    texts, payloads = [list[str]() for _ in indices], [list[bytes]() for _ in indices]
    for table, part in zip(layout.tables, rows, strict=True) if rows else ():
        key = ",".join(map(str, keys(layout.seed, table.spec.name)))
        spread = repr(float(table.spec.spread or 0.0))
        about = f"{table.first_block},{table.width},{table.rows_per_block},{spread},{key}"
        shards = shards_of(layout, table, part.ids // table.rows_per_block)
        with np.errstate(over="ignore"):  # what the dtype cannot hold is refused there
            values = part.values.astype(dtype, copy=False)
        for index in indices:
            here = np.flatnonzero(shards == layout.n_dense_shards + index)
            if len(here):
                texts[index].append(f"{about},{len(here)}")
                payloads[index] += [
                    part.ids[here].astype("<u4").tobytes(),
                    encode(wire, values[here].reshape(-1)).tobytes(),
                ]
    return [(",".join(texts[index]), b"".join(payloads[index])) for index in indices]


@dataclass(frozen=True)
class Blocks:
    """Blocks of tables on one shard, as ``create.lua`` writes them."""

    ids: tuple[int, ...]
    numbers: tuple[int, ...]
    values: bytes


def blocks_on(layout: Layout, shard: int, rows: Sequence[TableRows], dtype: Float) -> Blocks:
    """The blocks that make up ``rows`` on a table shard; every row of a block that exists."""
    ids, numbers, values = list[int](), list[int](), list[bytes]()
    for table, part in zip(layout.tables, rows, strict=True) if rows else ():
        of_row, within = np.divmod(part.ids, table.rows_per_block)
        here = shards_of(layout, table, of_row) == shard
        blocks, position = np.unique(of_row[here], return_inverse=True)
        array = np.zeros((len(blocks), table.rows_per_block, table.width), dtype)
        array[position, within[here]] = part.values[here]
        ids += (table.first_block + blocks).tolist()
        numbers += [table.rows_per_block * table.width] * len(blocks)
        values.append(array.tobytes())
    return Blocks(tuple(ids), tuple(numbers), b"".join(values))


def rows_in(layout: Layout, blocks: Mapping[int, bytes], dtype: Float) -> tuple[TableRows, ...]:
    """The rows of each table, ascending, from the blocks that exist, by their ids."""
    ids = np.array(sorted(blocks), dtype=np.int64)
    tables = []
    for table in layout.tables:
        mine = ids[(ids >= table.first_block) & (ids < table.first_block + table.n_blocks)]
        rows = (mine - table.first_block)[:, None] * table.rows_per_block
        rows = (rows + np.arange(table.rows_per_block)).ravel()
        stored = b"".join(blocks[block] for block in mine.tolist())
        values = np.frombuffer(stored, dtype).reshape(-1, table.width)
        real = rows < table.n_rows
        tables.append(TableRows(rows[real], values[real]))
    return tuple(tables)
