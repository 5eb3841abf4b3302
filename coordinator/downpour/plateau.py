"""When Downpour's loss no longer falls: by the mean loss of whole passes over the training data.

A pass has the same examples each time, and all replicas have made it when it is judged: neither
the order of the data nor which replica is the faster one decides. The loss of an example is that
of the replica's copy when it came to it, without an L2 term.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any


class Plateau:
    """The training losses of the passes so far, and whether they still fall.

    Args:
        decrease: the share of the loss before by which a pass has to lower it.
    """

    def __init__(self, decrease: float) -> None:
        self._decrease = decrease
        #: For each pass the sum of losses, and examples.
        self._sums: defaultdict[int, tuple[float, int]] = defaultdict(lambda: (0.0, 0))

    def add(self, index: int, loss_sum: float, examples: int) -> None:
        """Take in some examples of a pass; passes count from 0."""
        before = self._sums[index]
        self._sums[index] = (before[0] + loss_sum, before[1] + examples)

    def reached(self, whole: int) -> bool:
        """Whether the last of the ``whole`` passes hardly lowered the loss.

        That of a pass of which no example was reported, because its coordinator died, is not known.
        """
        before, last = self._mean(whole - 2), self._mean(whole - 1)
        if before is None or last is None:
            return False
        return before - last <= self._decrease * abs(before)

    def to_json(self) -> list[Sequence[float]]:
        return [[index, *self._sums[index]] for index in sorted(self._sums)]

    def load_state(self, document: Sequence[Sequence[Any]]) -> None:
        """Go on from what another coordinator noted."""
        self._sums.clear()
        for index, loss_sum, examples in document:
            self._sums[index] = (loss_sum, examples)

    def _mean(self, index: int) -> float | None:
        loss_sum, examples = self._sums.get(index, (0.0, 0))
        return loss_sum / examples if examples else None
