"""Tensors to blocks to shards to servers: the only place that knows where a number lives.

All tensors of a model are flattened one after another into one vector of ``D`` numbers.
The vector is cut into blocks of ``block_numbers`` consecutive numbers, runs of consecutive
blocks make shards, and shards are dealt to the servers in turn. So every number lies in one
block of one shard on one server, and a shard, a slice of the vector, travels without gathering.

The larger shards come first: shards differ by at most one block, and so do servers whenever
each holds equally many shards (the default).

Sparse tensors may instead be tables, in shards of their own behind the dense ones: small blocks
of whole rows, dealt to the table shards in turn, which come into being when somebody first
touches them. The flat vector then holds the other tensors only.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import LayoutError
from distbelief.app.layout.tensors import TensorSpec, Vector

#: One script call on a shard of this size stays near ten milliseconds in Lua.
MAX_SHARD_NUMBERS = 65_536

#: Numbers in a block; small vectors have shorter ones, so that all servers have some.
BLOCK_NUMBERS, LEAST_BLOCKS_PER_SERVER = 4096, 4

#: Numbers in a block of a table, in whole rows: the fewer, the less is stored that nobody touched.
TABLE_BLOCK_NUMBERS = 16
TABLE_SHARDS_PER_SERVER = 4

#: Lua cannot unpack longer rows at once.
WIDEST_TABLE = 4096


@dataclass(frozen=True)
class Table:
    """A sparse tensor in blocks of whole rows; rows may have any shape.

    ``first_block`` is the id of its first block: ids are counted over all tables.
    """

    spec: TensorSpec
    first_block: int

    @property
    def n_rows(self) -> int:
        return self.spec.shape[0]

    @cached_property
    def width(self) -> int:
        """Numbers in a row."""
        return self.spec.size // self.n_rows

    @cached_property
    def rows_per_block(self) -> int:
        """All blocks are full; the last may have rows that belong to nothing."""
        return max(1, TABLE_BLOCK_NUMBERS // self.width)

    @property
    def n_blocks(self) -> int:
        return math.ceil(self.n_rows / self.rows_per_block)


@dataclass(frozen=True)
class Layout:
    """Where each number of a parameter vector lives.

    Of ``n_shards`` the last ``n_table_shards`` hold the tables, which are the sparse
    tensors if there are such shards; ``seed`` draws the tables' first values.

    Raises:
        LayoutError: no numbers, a repeated tensor name, or more shards than blocks.
    """

    tensors: tuple[TensorSpec, ...]
    block_numbers: int
    n_shards: int
    n_servers: int
    n_table_shards: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names):
            raise LayoutError(f"tensor names must differ from one another, got {names}")
        if any(tensor.size < 1 for tensor in self.tensors) or not self.tensors:
            raise LayoutError(f"every tensor needs at least one number, got {self.tensors}")
        for name in ("block_numbers", "n_shards", "n_servers"):
            if getattr(self, name) < 1:
                raise LayoutError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.dense:
            raise LayoutError("at least one tensor must not be sparse")
        if self.n_dense_shards > self.n_blocks:
            raise LayoutError(
                f"{self.n_dense_shards} shards are more than the {self.n_blocks} blocks of "
                f"{self.block_numbers} numbers that {self.size} parameters make: "
                f"use at most {self.n_blocks} shards, or smaller blocks"
            )

    @classmethod
    def plan(
        cls,
        tensors: Sequence[TensorSpec],
        *,
        n_servers: int,
        block_numbers: int | None = None,
        n_shards: int | None = None,
        table_numbers: int | None = None,
        shard_numbers: int = MAX_SHARD_NUMBERS,
        table_shards: int = TABLE_SHARDS_PER_SERVER,
        dense_shards: int = 1,
        seed: int = 0,
    ) -> Layout:
        """Cut ``tensors``; without ``n_shards`` choose the fewest that keep calls short.

        Those are a multiple of the servers, of at most ``shard_numbers`` numbers each, or of
        one block where that is longer, and at least ``dense_shards`` for each server; of tables
        each server has ``table_shards``.
        The sparse tensors become tables if together they have at least ``table_numbers``
        numbers (None: never); given shards are then those of the dense part and of the
        tables, each.
        """
        tabled = table_numbers is not None and _can_be_tables(tensors, table_numbers)
        dense = [tensor for tensor in tensors if not (tabled and tensor.sparse)]
        size = sum(tensor.size for tensor in dense)
        if block_numbers is None:
            least = max(LEAST_BLOCKS_PER_SERVER, dense_shards)
            wanted = max(least * n_servers, n_shards or 1)
            block_numbers = min(BLOCK_NUMBERS, math.ceil(size / max(1, wanted))) or 1
        blocks = math.ceil(size / max(1, block_numbers))
        n_dense, n_tables = n_shards, n_shards
        if n_shards is None:
            per_shard = max(1, shard_numbers // max(1, block_numbers))
            rounds = max(dense_shards, math.ceil(blocks / (per_shard * max(1, n_servers))))
            n_dense, n_tables = n_servers * rounds, n_servers * table_shards
        assert n_dense is not None
        assert n_tables is not None
        if n_shards is None or tabled:
            n_dense = max(1, min(n_dense, blocks))
        if not tabled:
            n_tables = 0
        return cls(tuple(tensors), block_numbers, n_dense + n_tables, n_servers, n_tables, seed)

    @cached_property
    def dense(self) -> tuple[TensorSpec, ...]:
        """The tensors that make up the flat vector."""
        return tuple(t for t in self.tensors if not (self.n_table_shards and t.sparse))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The sparse tensors, if they are kept as tables."""
        tables, first_block = [], 0
        for spec in self.tensors if self.n_table_shards else ():
            if spec.sparse:
                tables.append(Table(spec, first_block))
                first_block += tables[-1].n_blocks
        return tuple(tables)

    @property
    def n_dense_shards(self) -> int:
        return self.n_shards - self.n_table_shards

    @cached_property
    def size(self) -> int:
        """D, the numbers of the flat vector."""
        return sum(tensor.size for tensor in self.dense)

    @cached_property
    def n_blocks(self) -> int:
        return math.ceil(self.size / self.block_numbers)

    def blocks(self, shard: int) -> range:
        """Ids of the flat vector's blocks on ``shard``, consecutive over all shards.

        A table shard has none of them; what it has depends on what was touched.
        """
        if shard >= self.n_dense_shards:
            return range(self.n_blocks, self.n_blocks)
        small, larger = divmod(self.n_blocks, self.n_dense_shards)
        first = shard * small + min(shard, larger)
        return range(first, first + small + (shard < larger))

    def shard_slice(self, shard: int) -> slice:
        """The part of the flat vector that ``shard`` holds; empty for a table shard."""
        blocks = self.blocks(shard)
        if not blocks:
            return slice(self.size, self.size)
        return slice(blocks.start * self.block_numbers, self.block_slice(blocks[-1]).stop)

    def block_slice(self, block: int) -> slice:
        """The part of the flat vector that ``block`` holds."""
        start = block * self.block_numbers
        return slice(start, min(start + self.block_numbers, self.size))

    def server(self, shard: int) -> int:
        """Index of the server that holds ``shard``."""
        return shard % self.n_servers

    def penalty_mask(self) -> npt.NDArray[np.bool_]:
        """Shape (D,): True where the L1 and L2 terms of the objective apply."""
        return np.concatenate([np.full(t.size, t.penalised) for t in self.dense])

    @property
    def n_penalised(self) -> int:
        """How many numbers of the flat vector the penalty mask covers."""
        return sum(tensor.size for tensor in self.dense if tensor.penalised)

    def penalised(self, part: slice) -> list[tuple[int, int]]:
        """Stretches of ``part`` that the penalty mask covers, counted from its beginning.

        As (first, end), in rising order.
        """
        stretches, start = [], 0
        for tensor in self.dense:
            first, end = max(start, part.start), min(start + tensor.size, part.stop)
            if tensor.penalised and first < end:
                stretches.append((first - part.start, end - part.start))
            start += tensor.size
        return stretches

    def penalty(self, l2: float | None, dtype: np.dtype[np.floating]) -> Vector | None:
        """Shape (D,): the factor of each parameter in the L2 term's gradient; None without."""
        return (self.penalty_mask() * l2).astype(dtype) if l2 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "tensors": [
                [t.name, list(t.shape), t.penalised, t.sparse, t.spread] for t in self.tensors
            ],
            "block_numbers": self.block_numbers,
            "n_shards": self.n_shards,
            "n_servers": self.n_servers,
            "n_table_shards": self.n_table_shards,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Layout:
        tensors = (TensorSpec(n, tuple(shape), *rest) for n, shape, *rest in document["tensors"])
        return cls(
            tuple(tensors),
            document["block_numbers"],
            document["n_shards"],
            document["n_servers"],
            document["n_table_shards"],
            document["seed"],
        )

    @cached_property
    def digest(self) -> str:
        """Changes whenever any number would live elsewhere."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _can_be_tables(tensors: Sequence[TensorSpec], least_numbers: int) -> bool:
    """Whether there is enough in the sparse tensors, and something beside them."""
    sparse = [tensor for tensor in tensors if tensor.sparse]
    return (
        0 < len(sparse) < len(tensors)
        and sum(tensor.size for tensor in sparse) >= least_numbers
        and all(tensor.size // tensor.shape[0] <= WIDEST_TABLE for tensor in sparse)
    )
