"""What all stores in this process are made of: their shards, and who may do what to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from distbelief.app.errors import Fenced, StoreError
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.parameters import Positions, ShardState, behind, missing
from distbelief.app.store.contract.standings import Acknowledged, Standing, Standings, refusal

T = TypeVar("T")


@dataclass
class MemoryShard:
    """One shard, with all that its meta hash and its hashes of blocks hold on a server."""

    fence: int
    vectors: dict[str, dict[int, Vector]]
    change: int = 0
    clock: int = 0
    refused: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    sequences: dict[int, int] = field(default_factory=dict)
    evaluation: int | None = None
    counted: set[int] = field(default_factory=set)

    @property
    def shard_state(self) -> ShardState:
        return ShardState(self.clock, self.refused, dict(self.sequences), self.standing)

    @property
    def standing(self) -> Standing:
        return Standing(self.fence, self.change)


class MemoryShardCalls:
    """Shards of one run in this process, each of which answers as one on a server would."""

    def __init__(
        self,
        layout: Layout,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float64,
        vectors: tuple[str, ...] = (PARAMETERS,),
        *,
        fence: int,
    ) -> None:
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self.fence = fence
        self._shards: list[MemoryShard | None] = [None] * layout.n_shards
        self._vectors = vectors
        self._acknowledged = Acknowledged(layout.n_shards)

    @property
    def standings(self) -> Standings:
        return self._acknowledged.standings

    def accept(self, found: Sequence[ShardState | None]) -> None:
        for index, state in enumerate(found):
            self._acknowledged.note(index, state.standing if state is not None else Standing())

    def _ask(self, answer: Callable[[int], T], shards: Iterable[int] | None = None) -> list[T]:
        """As on servers: each shard is asked, whatever the others say; then the first error."""
        answers, errors = list[T](), list[StoreError]()
        for index in range(self.layout.n_shards) if shards is None else shards:
            try:
                answers.append(answer(index))
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers

    def _there(self, index: int) -> MemoryShard:
        at = self._shards[index]
        if at is None:
            raise missing(index)
        return at

    def _ours(self, index: int, fence: int | None = None) -> MemoryShard:
        """A shard that is there, under ``fence`` (default: the store's)."""
        at = self._there(index)
        known = self._known(index) if fence is None else Standing(fence)
        match refusal(at.standing, known):
            case "FENCED":
                raise fenced(index)
            case "BEHIND":
                raise behind(index)
        return at

    def _read(self, index: int) -> MemoryShard:
        """A shard that stands where it is known to have stood."""
        at = self._there(index)
        if at.standing < self._known(index):
            raise behind(index)
        return at

    def _known(self, index: int) -> Standing:
        return self._acknowledged.under(self.fence, index)

    def _change(self, index: int, at: MemoryShard, number: int) -> None:
        """Note a change that was made."""
        at.change = max(at.change, number)
        self._acknowledged.note(index, Standing(self.fence, number))

    def _check(self, fence: int | None = None) -> None:
        for index in range(self.layout.n_shards):
            self._ours(index, fence)

    def _present(self) -> list[MemoryShard]:
        return [self._there(index) for index in range(self.layout.n_shards)]

    def _positions(self, stream: int) -> Positions:
        pairs = [(at.clock, at.sequences.get(stream, 0)) if at else (0, 0) for at in self._shards]
        table = np.array(pairs, dtype=np.int64)
        return Positions(table[:, 0], table[:, 1])


def fenced(index: int) -> Fenced:
    return Fenced(f"shard {index} is fenced: a newer coordinator took over")
