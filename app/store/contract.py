"""What every parameter store promises, whatever holds the numbers.

Two implementations stand beside this file: :mod:`app.store.parameters` on Redis servers
and :mod:`app.store.memory` in this process. One contract test runs over both, and their
numbers agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.errors import Fenced, ModelMissing, SequenceGap
from app.keys import PARAMETERS
from app.layout import Layout, Vector
from app.optimizers.rule import Rule


class Answer(StrEnum):
    """A shard's answer to a push; the meanings are in ``lua/push.lua``."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    REFUSED = "REFUSED"
    GAP = "GAP"
    FENCED = "FENCED"
    NOMODEL = "NOMODEL"


@dataclass(frozen=True)
class Token:
    """The right to change shards on behalf of one stream of pushes.

    ``fence`` belongs to the run, ``attempt`` to the lease under which the work is done
    (a fencing token: it only ever grows).
    """

    fence: int
    stream: int
    attempt: int


@dataclass(frozen=True)
class Positions:
    """Where the shards stand: arrays of shape (n_shards,), int64.

    ``clocks`` counts the pushes that a shard applied, ``sequences`` is the last sequence
    number of the stream that asked.
    """

    clocks: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fetched:
    """A vector of shape (D,) and where each shard stood when it gave its part."""

    vector: Vector
    positions: Positions


@dataclass(frozen=True)
class Pushed:
    """Each shard's answer to a push, and the fresh parameters if they were asked for."""

    answers: tuple[Answer, ...]
    positions: Positions
    fresh: Vector | None


@dataclass(frozen=True)
class ShardCounts:
    """``applied`` pushes and ``refused`` ones (they would have written NaN or infinity)."""

    applied: int
    refused: int


class ParameterStore(Protocol):
    """Shards of parameters and optimizer slots, updated where they lie.

    Vectors are flat, of shape (D,), in the store's dtype. Every method raises the
    ServerError family when a server cannot be used, and

    - ModelMissing if a shard does not know the run,
    - Fenced if a newer attempt or fence took over,
    - SequenceGap if a shard misses pushes before this one.
    """

    layout: Layout
    rule: Rule
    dtype: np.dtype[np.floating]

    def create(
        self, fence: int, parameters: Vector, slots: Mapping[str, Vector] | None = None
    ) -> bool:
        """Write first values where the run has none; False if it was there already.

        Raises LayoutError if it is there with another layout.
        """
        ...

    def announce(self, token: Token) -> Positions:
        """Shut older attempts out, and learn where the shards stand."""
        ...

    def fetch(self, name: str = PARAMETERS, *, stream: int = 0) -> Fetched:
        """Read a vector. Shards are read one after another: it may be inconsistent."""
        ...

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
    ) -> Pushed:
        """Apply ``gradient`` on every shard exactly once.

        ``blocks`` (ascending ids) limits the push to some blocks, whose numbers
        ``gradient`` then holds one after another; shards without any still advance.
        """
        ...

    def counts(self) -> list[ShardCounts]:
        """What each shard applied and refused so far."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Copy a vector on the servers, shard by shard."""
        ...

    def drop(self, name: str) -> None:
        """Delete a named vector; no error if there is none."""
        ...

    def raise_fence(self, fence: int) -> None:
        """Refuse all pushes under a lower fence from now on."""
        ...

    def delete(self) -> None:
        """Delete the run's parameters and slots (not other named vectors)."""
        ...


def check_answers(answers: Sequence[Answer], positions: Positions, sequence: int) -> None:
    """Raise for the answers after which a replica cannot simply go on."""
    for shard, answer in enumerate(answers):
        if answer is Answer.NOMODEL:
            raise missing(shard)
        if answer is Answer.FENCED:
            raise Fenced(f"shard {shard} is fenced: a newer attempt or coordinator took over")
    for shard, answer in enumerate(answers):
        if answer is Answer.GAP:
            raise SequenceGap(
                f"shard {shard} stands at sequence {positions.sequences[shard]}, "
                f"so it cannot take {sequence}"
            )


def missing(shard: int) -> ModelMissing:
    return ModelMissing(
        f"shard {shard} does not know this run: it was never created there, "
        "or the server lost its data, or it is another server"
    )
