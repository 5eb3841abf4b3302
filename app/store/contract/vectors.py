"""The promise of every store of named vectors (Sandblaster), whatever holds the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.parameters import Counted, ShardStore


class VectorStore(ShardStore, Protocol):
    """Named vectors, and operations on them where they lie (Sandblaster).

    Every operation may be asked for twice: none writes over a vector that it reads, and a
    portion is added to a sum once.
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

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        """Write the pseudo-gradient of a loss plus ``l1`` times the point's 1-norm to ``out``.

        ``gradient`` is that of the loss alone. Where a number is zero, the pseudo-gradient
        is the one-sided derivative that descends, and zero if there is none (Andrew & Gao
        2007, eq. 4). Biases have no L1 term. Raises NotFinite as ``combine`` does.
        """
        ...

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        """Write ``point + step * direction`` to ``out``, kept in one orthant; step > 0.

        A number stops at zero rather than change its sign, and leaves zero only against
        its pseudo-gradient (Andrew & Gao 2007, sec. 3.2). Biases move freely. Raises NotFinite
        as ``combine`` does.
        """
        ...

    def sparsity(self, name: str) -> tuple[float, int]:
        """The 1-norm of a vector without its biases, and how many numbers there are not zero."""
        ...

    def begin(self, evaluation: int, gradient: str) -> None:
        """From now on only portions of ``evaluation`` are added, to the vector ``gradient``.

        Evaluations are numbered upwards from 1; Fenced if a later one has begun.
        """
        ...

    def counted(self, evaluation: int) -> list[int]:
        """How many portions of ``evaluation`` each shard has in its sum.

        From then on it is known to have had these.
        """
        ...

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        """Add a portion's gradient to the sum, once on each shard; each shard's answer.

        Raises ShardBehind for a shard on which this evaluation has not begun yet, or no more.
        """
        ...
