"""The parameter store in this process: the scripts' oracle, and training without servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.errors import Fenced
from app.keys import PARAMETERS, slot
from app.layout import Layout, Vector
from app.optimizers.rule import Rule
from app.store.checks import check_answers, check_gradient
from app.store.contract import Answer, Counts, Positions, Pushed, Token, missing
from app.store.memory_shards import MemoryShards, Shard


class MemoryParameterStore(MemoryShards):
    """The :class:`app.store.contract.ParameterStore` of one run in this process."""

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

    def create(self, parameters: Vector, slots: Mapping[str, Vector] | None = None) -> bool:
        slots = self.rule.initial_slots(parameters.astype(np.float64)) if slots is None else slots
        return self._create([parameters, *(slots[name] for name in self.rule.slots)])

    def announce(self, token: Token) -> Positions:
        # As on servers, every shard is asked, whatever the first ones answer.
        announced = [self._announce(at, token) for at in self._shards]
        for index, at in enumerate(self._shards):
            if at is None:
                raise missing(index)
            if not announced[index]:
                raise Fenced(f"shard {index} knows a newer attempt than {token.attempt}")
        return self._positions(token.stream)

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
        base: Counts | None = None,
    ) -> Pushed:
        check_gradient(self.layout, gradient, blocks)
        chosen = range(self.layout.n_blocks) if blocks is None else blocks
        with np.errstate(over="ignore"):
            parts = self._parts(gradient.astype(self.dtype), chosen)
        answers = tuple(
            self._push(
                at,
                token,
                sequence,
                {b: parts[b] for b in parts if b in self.layout.blocks(index)},
                None if base is None else int(base[index]),
            )
            for index, at in enumerate(self._shards)
        )
        positions = self._positions(token.stream)
        check_answers(answers, positions, sequence)
        if not fetch:
            return Pushed(answers, positions, None)
        stored = {b: v for at in self._present() for b, v in at.vectors[PARAMETERS].items()}
        none = np.empty(0, self.dtype)
        return Pushed(answers, positions, np.concatenate([none, *(stored[b] for b in chosen)]))

    def _announce(self, at: Shard | None, token: Token) -> bool:
        if at is None or _is_fenced(at, token):
            return False
        at.attempts[token.stream] = token.attempt
        return True

    def _push(
        self,
        at: Shard | None,
        token: Token,
        sequence: int,
        gradients: Mapping[int, Vector],
        base: int | None,
    ) -> Answer:
        """One shard's part of a push; the order of the checks is that of ``push.lua``."""
        if at is None:
            return Answer.NOMODEL
        if _is_fenced(at, token):
            return Answer.FENCED
        last = at.sequences.get(token.stream, 0)
        if sequence <= last:
            return Answer.DUPLICATE
        if sequence > last + 1:
            return Answer.GAP
        staleness = 0 if base is None else at.clock - last - base
        new = {block: self._updated(at, block, g, staleness) for block, g in gradients.items()}
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

    def _updated(self, at: Shard, block: int, gradient: Vector, staleness: int) -> list[Vector]:
        old = [at.vectors[name][block].astype(np.float64) for name in self._vectors]
        with np.errstate(over="ignore", invalid="ignore"):
            new = self.rule.step(gradient.astype(np.float64), old, at.clock, staleness)
            return [value.astype(self.dtype) for value in new]

    def _parts(self, gradient: Vector, blocks: Sequence[int]) -> dict[int, Vector]:
        parts, start = {}, 0
        for block in blocks:
            part = self.layout.block_slice(block)
            stop = start + part.stop - part.start
            parts[block] = gradient[start:stop]
            start = stop
        return parts


def _is_fenced(at: Shard, token: Token) -> bool:
    return token.fence != at.fence or token.attempt < at.attempts.get(token.stream, 0)
