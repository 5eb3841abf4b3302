"""The vector store in this process: the oracle of Sandblaster's scripts, and L-BFGS without
servers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.errors import Fenced, NotFinite, ServerRefused
from app.layout import Vector
from app.store.checks import check_gradient
from app.store.contract import Counted
from app.store.memory_shards import MemoryShards, Shard


class MemoryVectorStore(MemoryShards):
    """The :class:`app.store.contract.VectorStore` of one run in this process."""

    def create(self, parameters: Vector) -> bool:
        return self._create([parameters])

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self._check(self.fence)
        names = {name for pair in pairs for name in pair}
        whole = {name: self.fetch(name).vector.astype(np.float64) for name in names}
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(whole[a] @ whole[b]) for a, b in pairs]

    def combine(
        self, out: str, terms: Sequence[tuple[float, str]], *, constant: float = 0.0
    ) -> None:
        if any(name == out for _, name in terms):
            raise ServerRefused(f"combine must not write over its own term {out}")
        self._check(self.fence)
        total = np.full(self.layout.size, float(constant))
        with np.errstate(over="ignore", invalid="ignore"):
            for coefficient, name in terms:
                total = total + coefficient * self.fetch(name).vector.astype(np.float64)
            total = total.astype(self.dtype)
        if not np.isfinite(total).all():
            raise NotFinite(f"{out} would hold numbers that are not finite")
        for at, part in self._parts(total):
            at.vectors[out] = part

    def begin(self, evaluation: int, gradient: str) -> None:
        self._check(self.fence)
        for index, at in enumerate(self._present()):
            if evaluation < (at.evaluation or 0):
                raise Fenced(f"shard {index} is at a later evaluation than {evaluation}")
            if at.evaluation != evaluation:
                at.evaluation = evaluation
                at.counted.clear()
                at.vectors.pop(gradient, None)

    def counted(self, evaluation: int) -> list[int]:
        return [len(at.counted) if at.evaluation == evaluation else 0 for at in self._present()]

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        check_gradient(self.layout, values, None)
        self._check(fence)
        with np.errstate(over="ignore"):
            parts = self._parts(values.astype(self.dtype))
        return tuple(
            self._accumulate(at, evaluation, gradient, portion, part) for at, part in parts
        )

    def _accumulate(
        self, at: Shard, evaluation: int, gradient: str, portion: int, part: dict[int, Vector]
    ) -> Counted:
        """One shard's part; the order of the checks is that of ``accumulate.lua``."""
        if at.evaluation != evaluation:
            return Counted.EXPIRED
        if portion in at.counted:
            return Counted.DUPLICATE
        old = at.vectors.get(gradient) or {block: np.zeros_like(v) for block, v in part.items()}
        with np.errstate(over="ignore", invalid="ignore"):
            sums = {
                block: (old[block].astype(np.float64) + v.astype(np.float64)).astype(self.dtype)
                for block, v in part.items()
            }
        if not all(np.isfinite(v).all() for v in sums.values()):
            return Counted.REFUSED
        at.vectors[gradient] = sums
        at.counted.add(portion)
        return Counted.COUNTED

    def _parts(self, vector: Vector) -> list[tuple[Shard, dict[int, Vector]]]:
        return [
            (at, {b: vector[self.layout.block_slice(b)] for b in self.layout.blocks(index)})
            for index, at in enumerate(self._present())
        ]
