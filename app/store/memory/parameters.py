"""The parameter store in this process: the scripts' oracle, and training without servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.checks import check_answers, check_gradient, check_rows
from distbelief.app.store.contract.coding import NUMPY, check_coding
from distbelief.app.store.contract.parameters import (
    Answer,
    Counts,
    Positions,
    Pushed,
    Token,
    behind,
    missing,
)
from distbelief.app.store.contract.tables import Begin, beginning, initial_values, shards_of
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.shards import MemoryShards

#: Which numbers of a block are pushed, and their gradient.
Share = tuple[Any, Vector]


class MemoryParameterStore(MemoryShards):
    """The ``ParameterStore`` of one run in this process."""

    def __init__(
        self,
        layout: Layout,
        rule: Rule,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
        *,
        fence: int,
    ) -> None:
        vectors = (PARAMETERS, *(slot(name) for name in rule.slots))
        super().__init__(layout, dtype, vectors, fence=fence)
        self.rule = rule

    def create(
        self,
        parameters: Vector,
        slots: Mapping[str, Vector] | None = None,
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> bool:
        slots = self.rule.initial_slots(parameters.astype(np.float64)) if slots is None else slots
        return self._create([parameters, *(slots[name] for name in self.rule.slots)], tables)

    def _beginning(self, name: str) -> Begin:
        return beginning(self.rule, name)

    def announce(self, token: Token) -> Positions:
        # As on servers, every shard is asked, whatever the first ones answer.
        announced = [self._announce(at, token) for at in self._shards]
        for index, at in enumerate(self._shards):
            if at is None:
                raise missing(index)
            if at.fence < token.fence:
                raise behind(index)
            if not announced[index]:
                raise Fenced(f"shard {index} knows a newer attempt than {token.attempt}")
        return self._positions(token.stream)

    def sequences(self, n_streams: int) -> list[int]:
        last = self._read(0).sequences
        return [last.get(stream, 0) for stream in range(n_streams)]

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
        base: Counts | None = None,
        rows: Tables = (),
        share: float = 1.0,
        span: int = 1,
        wire: Wire = "float32",
        residual: Vector | None = None,
    ) -> Pushed:
        check_gradient(self.layout, gradient, blocks)
        check_rows(self.layout, rows)
        check_coding(wire, self.dtype, rows=bool(self.layout.tables))
        chosen = range(self.layout.n_blocks) if blocks is None else blocks
        with np.errstate(over="ignore"):
            sent = gradient.astype(self.dtype)
            pieces = self._pieces(chosen)
            for piece in pieces:
                left = None if residual is None else residual[piece]
                sent[piece] = _arriving(wire, sent[piece], left)
            parts = self._dense_shares(sent, chosen)
            parts += self._table_shares(rows, wire)
        rule = self.rule.paced(share)
        answers = tuple(
            self._push(
                index, token, sequence, part, None if base is None else int(base[index]), rule, span
            )
            for index, part in enumerate(parts)
        )
        positions = self._positions(token.stream)
        check_answers(answers, positions, sequence)
        if not fetch:
            return Pushed(answers, positions, None)
        dense = self._present()[: self.layout.n_dense_shards]
        stored = {b: v for at in dense for b, v in at.vectors[PARAMETERS].items()}
        none = np.empty(0, self.dtype)
        fresh = np.concatenate([none, *(stored[b] for b in chosen)])
        for piece in pieces:
            fresh[piece] = NUMPY.rounded(wire, fresh[piece])
        return Pushed(answers, positions, fresh)

    def _announce(self, at: MemoryShard | None, token: Token) -> bool:
        if at is None or _is_fenced(at, token):
            return False
        at.attempts[token.stream] = token.attempt
        return True

    def _push(
        self,
        index: int,
        token: Token,
        sequence: int,
        shares: Mapping[int, Share],
        base: int | None,
        rule: Rule,
        span: int,
    ) -> Answer:
        """One shard's part of a push; the order of the checks is that of ``protocol.lua``."""
        at = self._shards[index]
        if at is None:
            return Answer.NOMODEL
        if at.fence < token.fence:
            return Answer.BEHIND
        if _is_fenced(at, token):
            return Answer.FENCED
        last = at.sequences.get(token.stream, 0)
        if sequence <= last:
            return Answer.DUPLICATE
        if sequence != last + span:
            return Answer.GAP
        staleness = 0 if base is None else at.clock - last - base
        new = {
            block: self._updated(at, block, each, staleness, rule) for block, each in shares.items()
        }
        at.attempts[token.stream] = token.attempt
        at.sequences[token.stream] = sequence
        if not all(np.isfinite(value).all() for values in new.values() for value in values):
            at.refused += span
            return Answer.REFUSED
        at.clock += span
        for block, values in new.items():
            for name, value in zip(self._vectors, values, strict=True):
                at.vectors[name][block] = value
        return Answer.APPLIED

    def _updated(
        self, at: MemoryShard, block: int, share: Share, staleness: int, rule: Rule
    ) -> list[Vector]:
        where, gradient = share
        old = [values.astype(np.float64) for values in self._stored(at, block)]
        touched = [values[where] for values in old]
        with np.errstate(over="ignore", invalid="ignore"):
            new = rule.step(gradient.astype(np.float64), touched, at.clock, staleness)
            for values, changed in zip(old, new, strict=True):
                values[where] = changed
            return [values.astype(self.dtype) for values in old]

    def _stored(self, at: MemoryShard, block: int) -> list[Vector]:
        """A block of parameters and slots; one of a table comes into being."""
        if block in at.vectors[PARAMETERS]:
            return [at.vectors[name][block] for name in self._vectors]
        table = next(t for t in reversed(self.layout.tables) if t.first_block <= block)
        first = initial_values(self.layout, table, np.array([block - table.first_block]))[0]
        slots = self.rule.initial_slots(first)
        return [v.astype(self.dtype) for v in (first, *(slots[name] for name in self.rule.slots))]

    def _pieces(self, blocks: Sequence[int]) -> list[slice]:
        """Where the numbers of each dense shard lie in those of all the blocks."""
        pieces, start = [], 0
        for shard in range(self.layout.n_dense_shards):
            here = (self.layout.block_slice(b) for b in blocks if b in self.layout.blocks(shard))
            stop = start + sum(part.stop - part.start for part in here)
            pieces.append(slice(start, stop))
            start = stop
        return pieces

    def _dense_shares(self, gradient: Vector, blocks: Sequence[int]) -> list[dict[int, Share]]:
        """Share of each dense shard in a push: all numbers of the blocks."""
        shares: list[dict[int, Share]] = [{} for _ in range(self.layout.n_dense_shards)]
        start, shard = 0, 0
        for block in blocks:
            while block not in self.layout.blocks(shard):
                shard += 1
            part = self.layout.block_slice(block)
            stop = start + part.stop - part.start
            shares[shard][block] = slice(None), gradient[start:stop]
            start = stop
        return shares

    def _table_shares(self, rows: Tables, wire: Wire) -> list[dict[int, Share]]:
        """Share of each table shard in a push: of each block the numbers of its rows."""
        shares: list[dict[int, Share]] = [{} for _ in range(self.layout.n_table_shards)]
        for table, part in zip(self.layout.tables, rows, strict=True) if rows else ():
            of_row, within = np.divmod(part.ids, table.rows_per_block)
            numbers = within[:, None] * table.width + np.arange(table.width)
            values = NUMPY.rounded(wire, part.values.astype(self.dtype).reshape(-1))
            values = values.reshape(part.values.shape)
            for block in np.unique(of_row):
                here = of_row == block
                (shard,) = shards_of(self.layout, table, np.array([block]))
                shares[shard - self.layout.n_dense_shards][table.first_block + int(block)] = (
                    numbers[here].ravel(),
                    values[here].ravel(),
                )
        return shares


def _arriving(wire: Wire, gradient: Vector, residual: Vector | None) -> Vector:
    """A shard's part of a gradient as it comes there."""
    if residual is None:
        return NUMPY.rounded(wire, gradient)
    coded = NUMPY.feed_back(wire, gradient, residual)
    NUMPY.decode(wire, coded, gradient)
    return gradient


def _is_fenced(at: MemoryShard, token: Token) -> bool:
    return token.fence != at.fence or token.attempt < at.attempts.get(token.stream, 0)
