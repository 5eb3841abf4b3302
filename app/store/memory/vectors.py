"""The vector store in this process: Sandblaster's oracle, and L-BFGS without servers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import Fenced, NotFinite
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.checks import check_gradient, refuse_overwriting
from distbelief.app.store.contract.parameters import Counted, behind
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.shards import MemoryShards


class MemoryVectorStore(MemoryShards):
    """The ``VectorStore`` of one run in this process."""

    def create(self, parameters: Vector) -> bool:
        return self._create([parameters])

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self._check()
        names = {name for pair in pairs for name in pair}
        whole = {name: self._double(name) for name in names}
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(whole[a] @ whole[b]) for a, b in pairs]

    def combine(
        self, out: str, terms: Sequence[tuple[float, str]], *, constant: float = 0.0
    ) -> None:
        refuse_overwriting(out, [name for _, name in terms])
        self._check()
        total = np.full(self.layout.size, float(constant))
        with np.errstate(over="ignore", invalid="ignore"):
            for coefficient, name in terms:
                total = total + coefficient * self._double(name)
        self._write_vector(out, total)

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        refuse_overwriting(out, [point, gradient])
        self._check()
        x, g = self._double(point), self._double(gradient)
        with np.errstate(over="ignore"):
            up, down = g + l1, g - l1
        choices = [x > 0, x < 0, up < 0, down > 0]
        self._write_vector(
            out, np.where(self._covered, np.select(choices, [up, down, up, down], 0.0), g)
        )

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        refuse_overwriting(out, [point, pseudo_gradient, direction])
        self._check()
        x, v, d = map(self._double, (point, pseudo_gradient, direction))
        with np.errstate(over="ignore"):
            moved = x + step * d
        orthant = np.sign(np.where(x != 0, x, -v))
        inside = (orthant != 0) & (np.sign(moved) == orthant)
        self._write_vector(out, np.where(self._covered & ~inside, 0.0, moved))

    def sparsity(self, name: str) -> tuple[float, int]:
        self._check()
        weights = np.abs(self._double(name)[self._covered])
        with np.errstate(over="ignore"):
            return float(weights.sum()), int(np.count_nonzero(weights))

    def begin(self, evaluation: int, gradient: str) -> None:
        self._check()
        number = self._acknowledged.next_number()
        for index, at in enumerate(self._present()):
            if evaluation < (at.evaluation or 0):
                raise Fenced(f"shard {index} is at a later evaluation than {evaluation}")
            if at.evaluation != evaluation:
                at.evaluation = evaluation
                at.counted.clear()
                at.vectors.pop(gradient, None)
            self._change(index, at, number)

    def counted(self, evaluation: int) -> list[int]:
        self._check()
        number = self._acknowledged.next_number()
        for index, at in enumerate(self._present()):
            self._change(index, at, number)
        return [len(at.counted) if at.evaluation == evaluation else 0 for at in self._present()]

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        check_gradient(self.layout, values, None)
        self._check(fence)
        with np.errstate(over="ignore"):
            parts = self._parts(values.astype(self.dtype))
        answers = [self._accumulate(at, evaluation, gradient, portion, v) for at, v in parts]
        for index, answer in enumerate(answers):
            if answer is None:
                raise behind(index)
        return tuple(answer for answer in answers if answer is not None)

    def _accumulate(
        self, at: MemoryShard, evaluation: int, gradient: str, portion: int, part: dict[int, Vector]
    ) -> Counted | None:
        """One shard's part, None if it is behind; the checks are in the order of the script's."""
        if (at.evaluation or 0) < evaluation:
            return None
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

    @property
    def _covered(self) -> npt.NDArray[np.bool_]:
        return self.layout.penalty_mask()

    def _double(self, name: str) -> npt.NDArray[np.float64]:
        return self.fetch(name).vector.astype(np.float64)

    def _write_vector(self, out: str, values: npt.NDArray[np.float64]) -> None:
        """Round and write, unless a number would not be finite."""
        with np.errstate(over="ignore"):
            rounded = values.astype(self.dtype)
        if not np.isfinite(rounded).all():
            raise NotFinite(f"{out} would hold numbers that are not finite")
        number = self._acknowledged.next_number()
        for index, (at, part) in enumerate(self._parts(rounded)):
            at.vectors[out] = part
            self._change(index, at, number)

    def _parts(self, vector: Vector) -> list[tuple[MemoryShard, dict[int, Vector]]]:
        return [
            (at, {b: vector[self.layout.block_slice(b)] for b in self.layout.blocks(index)})
            for index, at in enumerate(self._present())
        ]
