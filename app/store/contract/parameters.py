"""The promise of every parameter store, whatever holds the numbers.

Two implementations of each stand beside this file: on Redis servers, ``parameters`` and
``vectors`` of :mod:`distbelief.app.store.redis`, and in this process, those of
:mod:`distbelief.app.store.memory`. One contract test runs over both, and their
elementwise results agree bit for bit. What Sandblaster asks of its vectors is in
:mod:`distbelief.app.store.contract.vectors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelMissing, ShardBehind
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, Ids, TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.standings import Standing, Standings

#: A number for each shard, of shape (n_shards,).
Counts = npt.NDArray[np.int64]


class Answer(StrEnum):
    """A shard's answer to a push; the meanings are in ``lua/protocol.lua``."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    REFUSED = "REFUSED"
    GAP = "GAP"
    FENCED = "FENCED"
    BEHIND = "BEHIND"
    NOMODEL = "NOMODEL"


class Counted(StrEnum):
    """A shard's answer to a portion; the meanings are in ``lua/accumulate.lua``."""

    COUNTED = "COUNTED"
    DUPLICATE = "DUPLICATE"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"


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

    ``clocks`` counts the pushes that a shard applied, one for each sequence number that they
    had; ``sequences`` is the last one of the stream that asked.
    """

    clocks: Counts
    sequences: Counts

    @property
    def others(self) -> Counts:
        """The updates of the other streams."""
        return self.clocks - self.sequences


@dataclass(frozen=True)
class Fetched:
    """A vector of shape (D,), where each shard stood, rows of each table of shape (n, width)."""

    vector: Vector
    positions: Positions
    tables: tuple[Vector, ...] = ()


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


@dataclass(frozen=True)
class ShardState:
    """Progress of a shard: ``sequences`` is each stream's last sequence number."""

    applied: int = 0
    refused: int = 0
    sequences: Mapping[int, int] = field(default_factory=dict)
    standing: Standing = field(default=Standing(), compare=False)


class ShardStore(Protocol):
    """Vectors of one run, cut into shards; the part that both algorithms need.

    Vectors are flat, of shape (D,), in the store's dtype. Every method raises the
    ServerError family when a server cannot be used, ModelMissing if a shard does not
    know the run or the vector, ShardBehind if it lacks what it had acknowledged to this
    store, and Fenced if a newer attempt or fence took over.
    ``fence`` is that of the coordinator whose store this is; what it changes by name (create,
    copy, rename, drop, ...) is refused under another one. Workers read. ``wire`` is how numbers
    cross the network: unless float32, rounded (see :mod:`distbelief.app.store.contract.coding`).
    """

    layout: Layout
    dtype: np.dtype[np.floating]
    fence: int

    @property
    def standings(self) -> Standings:
        """Where each shard stands, as far as it has acknowledged that."""
        ...

    def accept(self, found: Sequence[ShardState | None]) -> None:
        """Take the shards for what they were found to be, whatever they were known to have had."""
        ...

    def fetch(
        self,
        name: str = PARAMETERS,
        *,
        stream: int = 0,
        rows: Sequence[Ids] = (),
        known: Standings | None = None,
        wire: Wire = "float32",
    ) -> Fetched:
        """Read a vector in ``wire``, and of each of its tables the ``rows`` (ascending).

        Raises ShardBehind for a shard that does not stand where it is ``known`` to have stood
        (by default what it acknowledged to this store).

        Shards are read one after another: it may be inconsistent. A row that nobody has touched
        yet is read as it will begin; all are read in full width.
        """
        ...

    def touched(self, name: str = PARAMETERS) -> tuple[TableRows, ...]:
        """All rows of a vector's tables that have come into being; all of them, or an error."""
        ...

    def counts(self) -> list[ShardCounts]:
        """Count what each shard applied and refused so far."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Copy a vector on the servers, shard by shard."""

    def freeze(self, copies: Mapping[str, str]) -> list[ShardState]:
        """Copy vectors (source to target), each shard at one moment; where each stood then."""

    def rename(self, name: str, new: str) -> None:
        """Call a vector ``new``, in place of one of that name; nothing is copied."""

    def drop(self, *names: str) -> None:
        """Delete vectors; no error if there are none."""

    def raise_fence(self, fence: int) -> None:
        """Act under ``fence`` from now on, and have all changes under a lower one refused.

        Raises ShardBehind for a shard that is not there any more where it was known to be.
        """
        ...

    def stored_bytes(self) -> int:
        """Memory that parameters and slots take."""
        ...

    def put(self, name: str, vector: Vector, tables: Tables = ()) -> None:
        """Write a vector, whatever was there under its name."""
        ...

    def highest_fence(self) -> int:
        """The highest fence that any shard knows; 0 if none knows the run."""
        ...

    def named_vectors(self) -> set[str]:
        """Those of the vectors of :func:`distbelief.app.layout.keys.named` that any shard has."""
        ...

    def shard_states(self, *names: str) -> list[ShardState | None]:
        """Where each shard stands, be it older than it was: for who is to mend that.

        None if it lost the run, or one of the vectors ``names``.
        """
        ...

    def restore(
        self,
        shards: Mapping[int, ShardState],
        vectors: Mapping[str, Vector],
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> None:
        """Put these vectors and states in place of whatever those shards hold.

        Vectors under other names stay as they are. Raises Fenced, for a shard that knows a
        newer fence.
        """
        ...

    def delete(self) -> None:
        """Delete the run's parameters and slots (not other named vectors)."""
        ...


class ParameterStore(ShardStore, Protocol):
    """Shards of parameters and optimizer slots, updated where they lie (Downpour)."""

    rule: Rule

    def create(
        self,
        parameters: Vector,
        slots: Mapping[str, Vector] | None = None,
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> bool:
        """Write first values where the run has none; False if it was there already.

        ``tables`` are rows that begin with other values than those that the seed draws,
        by the name of their vector: the same rows of parameters and of each slot.
        Raises LayoutError if it is there with another layout, or a vector has another
        length, and NotFinite for NaN or what the dtype cannot hold.
        """
        ...

    def announce(self, token: Token) -> Positions:
        """Shut older attempts out, and learn where the shards stand."""
        ...

    def sequences(self, n_streams: int) -> list[int]:
        """The last sequence number of each of the first streams, on the first shard."""
        ...

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
        """Apply ``gradient``, and that of ``rows``, on every shard exactly once.

        ``blocks`` (ascending ids) limits the push to some blocks, whose numbers
        ``gradient`` then holds one after another; shards without any still advance.
        With ``base`` (``others`` at the gradient's fetch) each shard divides the rate by the
        updates of others since (Zhang et al. 2016, "Staleness-aware async-SGD", eq. 5).
        ``share`` is that of the rule's rate with which it is applied. It may stand for a
        ``span`` of several sequence numbers, of which ``sequence`` is the last one. Of dense
        numbers ``residual`` is what ``wire`` took from earlier pushes: it is added, and replaced.
        Raises ShardBehind if a shard misses earlier ones, ServerRefused (unsent) if it is unfit.
        """
        ...


def behind(shard: int) -> ShardBehind:
    return ShardBehind(
        f"shard {shard} lacks what it had acknowledged: its server came back with older data"
    )


def missing(shard: int) -> ModelMissing:
    return ModelMissing(
        f"shard {shard} does not know this run: it was never created there, "
        "or the server lost its data, or it is another server"
    )
