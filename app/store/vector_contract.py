"""What a store of named vectors promises (Sandblaster), whatever holds the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.layout import Vector
from app.store.contract import Counted, ShardStore


class VectorStore(ShardStore, Protocol):
    """Named vectors, and operations on them where they lie (Sandblaster).

    Every operation may be asked for twice: ``combine`` never writes over one of its
    terms, and a portion is added to a sum once.
    """

    def create(self, parameters: Vector) -> bool:
        """Write the parameters where the run has none; False if it was there already."""
        ...

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The dot product of each pair of vectors, summed in double."""
        ...

    def combine(
        self, out: str, terms: Sequence[tuple[float, str]], *, constant: float = 0.0
    ) -> None:
        """Write ``constant`` plus the sum of coefficient times vector to ``out``.

        Copy, scale and fill are cases of it. Raises NotFinite, with nothing written
        in the ranges concerned, if a number would not be finite.
        """
        ...

    def begin(self, evaluation: int, gradient: str) -> None:
        """From now on only portions of ``evaluation`` are added, to the vector ``gradient``.

        Evaluations are numbered upwards from 1; Fenced if a later one has begun.
        """
        ...

    def counted(self, evaluation: int) -> list[int]:
        """How many portions of ``evaluation`` each shard has in its sum."""
        ...

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        """Add a portion's gradient to the sum, once on each shard; each shard's answer."""
        ...
