"""Rows of tables on their way to and from shards: where they are, and how they are packed.

Pure: nothing here talks to a server. A shard's hash of a vector has a field for each block
that was touched, and the field ``MARK``, which tells a vector without any block from one
that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    shards: Ids = layout.n_dense_shards + _table_shards(layout, table, blocks)
    return shards


def initial_values(layout: Layout, table: Table, blocks: Ids) -> npt.NDArray[np.float64]:
    """First values of blocks, shape (len(blocks), numbers in a block); see ``push_rows.lua``."""
    return _drawn(layout, table, blocks, table.rows_per_block * table.width)


def beginning(rule: Rule, name: str) -> Begin:
    """The first values of the parameters, or of one of the rule's slots beside them."""
    for each in rule.slots:
        if name == slot(each):
            return lambda drawn: rule.initial_slots(drawn)[each]
    return lambda drawn: drawn


@dataclass(frozen=True)
class _Dealt:
    """Rows of a table, dealt to the shards that they lie on.

    ``rows`` are in the order of the shards, ascending on each; row i is the one that was number
    ``order[i]``. Those of table shard s are from ``ends[s]`` to ``ends[s + 1]``.
    """

    table: Table
    rows: Ids
    order: Ids
    ends: list[int]

    @classmethod
    def of(cls, layout: Layout, table: Table, rows: Ids) -> _Dealt:
        shards = _table_shards(layout, table, rows // table.rows_per_block)
        # So short numbers are sorted by their digits, in one go.
        short = shards.astype(np.min_scalar_type(layout.n_table_shards))
        order = np.argsort(short, kind="stable")
        counts = np.bincount(shards, minlength=layout.n_table_shards)
        return cls(table, rows[order], order, [0, *np.cumsum(counts).tolist()])

    def on(self, shard: int) -> slice:
        """Where the rows of a table shard are."""
        return slice(self.ends[shard], self.ends[shard + 1])


@dataclass(frozen=True)
class Request:
    """Rows of tables, dealt to the table shards that are asked for them."""

    layout: Layout
    parts: tuple[_Dealt, ...]

    @classmethod
    def of(cls, layout: Layout, rows: Sequence[Ids]) -> Request:
        """``rows`` of each table of the layout, ascending; of none if it is empty."""
        pairs = zip(layout.tables, rows, strict=True) if rows else ()
        return cls(layout, tuple(_Dealt.of(layout, table, ids) for table, ids in pairs))

    def on(self, shard: int) -> list[tuple[Table, Ids]]:
        """The rows of each table that are asked of a shard."""
        at = shard - self.layout.n_dense_shards
        return [(part.table, part.rows[part.on(at)]) for part in self.parts]

    def asked(self, shard: int) -> tuple[str, bytes]:
        """The same as ``fetch_rows.lua`` has it: about the tables, and their rows."""
        parts = [(table, rows) for table, rows in self.on(shard) if len(rows)]
        abouts = (f"{_described(self.layout.seed, table)},{len(rows)}" for table, rows in parts)
        return ",".join(abouts), b"".join(_packed(rows) for _, rows in parts)

    def rows(
        self, replies: Sequence[tuple[bytes, bytes]], dtype: Float, begin: Begin
    ) -> tuple[Vector, ...]:
        """The rows of each table, shape (n, width), from what each table shard replied.

        Which is for each row whether it is there, and their values one after another.
        """
        at, tables = [(0, 0)] * len(replies), []
        for part in self.parts:
            row_bytes = part.table.width * dtype.itemsize
            there, values = list[bytes](), list[bytes]()
            for shard, (known, stored) in enumerate(replies):
                (row, byte), count = at[shard], part.ends[shard + 1] - part.ends[shard]
                at[shard] = row + count, byte + count * row_bytes
                there.append(known[row : at[shard][0]])
                values.append(stored[byte : at[shard][1]])
            tables.append(self._sorted(part, b"".join(there), b"".join(values), dtype, begin))
        return tuple(tables)

    def _sorted(
        self, part: _Dealt, there: bytes, values: bytes, dtype: Float, begin: Begin
    ) -> Vector:
        """The rows of a table in the order in which they were asked for; absent ones begin."""
        found = np.empty((len(part.rows), part.table.width), dtype)
        found[part.order] = np.frombuffer(values, dtype).reshape(found.shape)
        absent = np.frombuffer(there, np.uint8) == 0
        if absent.any():
            drawn = _drawn(self.layout, part.table, part.rows[absent], part.table.width)
            found[part.order[absent]] = begin(drawn)
        return found


def packed_gradient(
    layout: Layout, rows: Sequence[TableRows], dtype: Float, wire: Wire = "float32"
) -> list[tuple[str, bytes]]:
    """For each table shard what ``push_rows.lua`` wants to know of the rows there."""
    indices = range(layout.n_table_shards)
    texts, payloads = [list[str]() for _ in indices], [list[bytes]() for _ in indices]
    for table, part in zip(layout.tables, rows, strict=True) if rows else ():
        dealt, about = _Dealt.of(layout, table, part.ids), _described(layout.seed, table)
        with np.errstate(over="ignore"):  # what the dtype cannot hold is refused there
            values = part.values.astype(dtype, copy=False)[dealt.order]
        ids = _packed(dealt.rows)
        for index in indices:
            here = dealt.on(index)
            if here.start < here.stop:
                texts[index].append(f"{about},{here.stop - here.start}")
                payloads[index] += [
                    ids[4 * here.start : 4 * here.stop],
                    encode(wire, values[here].reshape(-1)).tobytes(),
                ]
    return [(",".join(texts[index]), b"".join(payloads[index])) for index in indices]


def _table_shards(layout: Layout, table: Table, blocks: Ids) -> Ids:
    """The shard of each block, counted from the first one of tables."""
    shards: Ids = (table.first_block + blocks) % layout.n_table_shards
    return shards


def _packed(rows: Ids) -> bytes:
    return rows.astype("<u4").tobytes()


@lru_cache(maxsize=64)
def _described(seed: int, table: Table) -> str:
    """A table as ``tables.lua`` has it, up to the number of its rows."""
    key, spread = keys(seed, table.spec.name), repr(float(table.spec.spread or 0.0))
    numbers = (table.first_block, table.width, table.rows_per_block, spread, *key)
    return ",".join(map(str, numbers))


def _drawn(layout: Layout, table: Table, ids: Ids, count: int) -> npt.NDArray[np.float64]:
    """First values of rows, or of blocks, of ``count`` numbers each, which lie in that order."""
    spread = table.spec.spread or 0.0
    if not spread:
        return np.zeros((len(ids), count))
    numbers = ids[:, None] * count + np.arange(count)
    return spread * drawn(keys(layout.seed, table.spec.name), numbers)


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
