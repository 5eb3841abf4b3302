"""The parameter store in this process: the scripts' oracle, and training without servers.

It keeps the promises of :mod:`app.store.contract` with dicts and NumPy, block by block
and answer by answer as the scripts do. It is not made for speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.errors import Fenced, LayoutError, ServerRefused
from app.keys import PARAMETERS, slot
from app.layout import Layout, Vector
from app.optimizers.rule import Rule
from app.store.contract import (
    Answer,
    Fetched,
    Positions,
    Pushed,
    ShardCounts,
    Token,
    check_answers,
    missing,
)


@dataclass
class _Shard:
    """One shard: what its meta hash and its hashes of blocks hold on a server."""

    fence: int
    vectors: dict[str, dict[int, Vector]]
    clock: int = 0
    refused: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    sequences: dict[int, int] = field(default_factory=dict)


class MemoryParameterStore:
    """The :class:`app.store.contract.ParameterStore` of one run in this process."""

    def __init__(
        self,
        layout: Layout,
        rule: Rule,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
    ) -> None:
        self.layout = layout
        self.rule = rule
        self.dtype = np.dtype(dtype)
        self._shards: list[_Shard | None] = [None] * layout.n_shards
        self._vectors = (PARAMETERS, *(slot(name) for name in rule.slots))

    def create(
        self, fence: int, parameters: Vector, slots: Mapping[str, Vector] | None = None
    ) -> bool:
        slots = self.rule.initial_slots(self.layout.size) if slots is None else slots
        values = [parameters, *(slots[name] for name in self.rule.slots)]
        if any(value.shape != (self.layout.size,) for value in values):
            raise LayoutError(f"every vector needs {self.layout.size} numbers")
        if all(self._shards):
            return False
        for index in range(self.layout.n_shards):
            vectors = {
                name: {
                    block: value[self.layout.block_slice(block)].astype(self.dtype)
                    for block in self.layout.blocks(index)
                }
                for name, value in zip(self._vectors, values, strict=True)
            }
            self._shards[index] = _Shard(fence, vectors)
        return True

    def announce(self, token: Token) -> Positions:
        for index, at in enumerate(self._present()):
            if token.fence != at.fence or token.attempt < at.attempts.get(token.stream, 0):
                raise Fenced(f"shard {index} knows a newer attempt than {token.attempt}")
            at.attempts[token.stream] = token.attempt
        return self._positions(token.stream)

    def fetch(self, name: str = PARAMETERS, *, stream: int = 0) -> Fetched:
        vector = np.empty(self.layout.size, self.dtype)
        for index, at in enumerate(self._present()):
            if name not in at.vectors:
                raise missing(index)
            for block, values in at.vectors[name].items():
                vector[self.layout.block_slice(block)] = values
        return Fetched(vector, self._positions(stream))

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
    ) -> Pushed:
        chosen = range(self.layout.n_blocks) if blocks is None else blocks
        with np.errstate(over="ignore"):
            parts = self._cut(gradient.astype(self.dtype), chosen)
        answers = tuple(
            self._push(at, token, sequence, {b: parts[b] for b in parts if b in ids})
            for at, ids in zip(
                self._shards, map(self.layout.blocks, range(len(self._shards))), strict=True
            )
        )
        positions = self._positions(token.stream)
        check_answers(answers, positions, sequence)
        if not fetch:
            return Pushed(answers, positions, None)
        stored = {b: v for at in self._present() for b, v in at.vectors[PARAMETERS].items()}
        return Pushed(answers, positions, np.concatenate([stored[block] for block in chosen]))

    def counts(self) -> list[ShardCounts]:
        return [ShardCounts(at.clock, at.refused) for at in self._present()]

    def copy(self, source: str, target: str) -> None:
        for index, at in enumerate(self._present()):
            if source not in at.vectors:
                raise missing(index)
            at.vectors[target] = {block: v.copy() for block, v in at.vectors[source].items()}

    def drop(self, name: str) -> None:
        for at in self._present():
            at.vectors.pop(name, None)

    def raise_fence(self, fence: int) -> None:
        for at in self._present():
            at.fence = max(at.fence, fence)

    def delete(self) -> None:
        self._shards = [None] * self.layout.n_shards

    def _push(
        self, at: _Shard | None, token: Token, sequence: int, gradients: Mapping[int, Vector]
    ) -> Answer:
        """One shard's part of a push; the order of the checks is that of ``push.lua``."""
        if at is None:
            return Answer.NOMODEL
        if token.fence != at.fence or token.attempt < at.attempts.get(token.stream, 0):
            return Answer.FENCED
        last = at.sequences.get(token.stream, 0)
        if sequence <= last:
            return Answer.DUPLICATE
        if sequence > last + 1:
            return Answer.GAP
        new = {block: self._updated(at, block, g) for block, g in gradients.items()}
        at.attempts[token.stream] = token.attempt
        at.sequences[token.stream] = sequence
        if not all(np.isfinite(value).all() for values in new.values() for value in values):
            at.refused += 1
            return Answer.REFUSED
        at.clock += 1
        for block, values in new.items():
            for name, value in zip(self._vectors, values, strict=True):
                at.vectors[name][block] = value
        return Answer.APPLIED

    def _updated(self, at: _Shard, block: int, gradient: Vector) -> list[Vector]:
        old = [at.vectors[name][block].astype(np.float64) for name in self._vectors]
        with np.errstate(over="ignore", invalid="ignore"):
            new = self.rule.step(gradient.astype(np.float64), old, at.clock)
            return [value.astype(self.dtype) for value in new]

    def _cut(self, gradient: Vector, blocks: Sequence[int]) -> dict[int, Vector]:
        parts, start = {}, 0
        for block in blocks:
            if not 0 <= block < self.layout.n_blocks:
                raise ServerRefused(f"BADPUSH block {block} is not stored here in full")
            part = self.layout.block_slice(block)
            stop = start + part.stop - part.start
            parts[block] = gradient[start:stop]
            start = stop
        if start != gradient.size:
            raise ServerRefused(f"BADPUSH {gradient.size} numbers of gradient for {start} stored")
        return parts

    def _present(self) -> list[_Shard]:
        for index, at in enumerate(self._shards):
            if at is None:
                raise missing(index)
        return [at for at in self._shards if at is not None]

    def _positions(self, stream: int) -> Positions:
        pairs = [(at.clock, at.sequences.get(stream, 0)) if at else (0, 0) for at in self._shards]
        table = np.array(pairs, dtype=np.int64)
        return Positions(table[:, 0], table[:, 1])
