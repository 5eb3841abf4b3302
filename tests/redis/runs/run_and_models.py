"""A run twice: on a server and in its models. Whatever is done to both, both must answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import CheckpointError, ServerError, StoreError
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST, PARAMETERS, control, named, shard, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.runs.ledger import Ledger
from distbelief.app.store.contract.parameters import Fetched, ParameterStore, Positions, Pushed
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.downpour.checkpoint_state import Known, Restored, capture, restore
from distbelief.coordinator.runs.checkpoints import Capture
from tests.redis.runs.ledger_model import LedgerModel

# 19 numbers in 5 blocks of 4, the last of 3; shards of 2, 2 and 1 blocks.
LAYOUT = Layout((TensorSpec("w", (19,)),), 4, n_shards=3, n_servers=1)
SHARDS = range(LAYOUT.n_shards)
STREAMS = range(2)
RULE = Adagrad(0.1, decay=0.25)
VECTORS = (PARAMETERS, *map(slot, RULE.slots))
#: All vectors that there can be: also the best model, and what a checkpoint is read from.
EVERYTHING = (*VECTORS, BEST, *(named(f"checkpoint:{name}") for name in (*VECTORS, BEST)))
FIRST_FENCE = 1
FIRST_VALUES = np.linspace(-1.0, 1.0, LAYOUT.size)

#: All that a shard holds: the fields of its meta hash and of its vectors; empty without any.
Contents = dict[str, dict[str, bytes]]


@dataclass(frozen=True)
class Copy:
    """A shard as it was at some time: the server's keys, and the twin's."""

    index: int
    keys: dict[str, bytes | None]
    twin: MemoryShard | None

    def __repr__(self) -> str:
        return f"<shard {self.index} at clock {self.twin.clock if self.twin else 'none'}>"


class MirroredRun:
    """``script`` and ``ledger`` are on the server, ``twin`` and ``model`` in this process.

    ``other`` is a second client of the server, for what happens behind the back of the
    first. ``seen`` counts the answers by name. Checkpoints are written to ``folder``.
    """

    def __init__(
        self, servers: Servers, other: Servers, run: str, seen: Counter[str], folder: Path
    ) -> None:
        self.run, self.seen, self.other, self.folder = run, seen, other, folder
        self.script = RedisParameterStore(servers, run, LAYOUT, RULE, fence=FIRST_FENCE)
        self.twin = MemoryParameterStore(LAYOUT, RULE, fence=FIRST_FENCE)
        self.ledger, self.model = Ledger(servers, run), LedgerModel(FIRST_FENCE)
        self.fence, self.checkpoints = FIRST_FENCE, 0
        self.both(lambda store: store.create(FIRST_VALUES))
        self._write_record("state", "running", "fence", FIRST_FENCE)

    @property
    def lost(self) -> list[int]:
        """The shards that lost everything."""
        return [index for index in SHARDS if self.twin._shards[index] is None]

    def both(self, use: Callable[[ParameterStore], object]) -> tuple[str, ...]:
        """Use scripts and twin alike; the names of their answers, or that of their error."""
        ours, theirs = _answer(use, self.script), _answer(use, self.twin)
        assert ours == theirs
        self.seen.update(ours[0])
        return ours[0]

    def crash(self) -> None:
        """The server comes back as it was, without its scripts and its connections."""
        self.other.one("SCRIPT", "FLUSH")
        self.other.one("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def copy_of(self, index: int) -> Copy:
        keys = self._keys(index)
        dumped = self.other.call([Command(0, ("DUMP", key)) for key in keys])
        return Copy(index, dict(zip(keys, dumped, strict=True)), deepcopy(self.twin._shards[index]))

    def put_back(self, copy: Copy) -> None:
        """The shard is what it was: the server lost what it wrote since."""
        self.lose(copy.index)
        for key, value in copy.keys.items():
            if value is not None:
                self.other.one("RESTORE", key, 0, value)
        self.twin._shards[copy.index] = deepcopy(copy.twin)

    def lose(self, index: int) -> None:
        """Nothing is left of a shard."""
        self.other.one("DEL", *self._keys(index))
        self.twin._shards[index] = None

    def raise_fence(self) -> tuple[str, ...]:
        self._begin_fence()
        return self.both(lambda store: store.raise_fence(self.fence))

    def under(self, fence: int, use: Callable[[ParameterStore], object]) -> tuple[str, ...]:
        """Like :meth:`both`, with the stores of a coordinator that has another fence."""

        def act(store: ParameterStore) -> object:
            own, store.fence = store.fence, fence
            try:
                return use(store)
            finally:
                store.fence = own

        return self.both(act)

    def write_checkpoint(self, *, best: bool, tidy: bool) -> Checkpoint | None:
        """Freeze both, write the server's state and read it again; None if it was refused.

        What was frozen stays there if it is not to be tidied up: the coordinator was killed.
        """
        captures: list[Capture] = []

        def freeze(store: ParameterStore) -> object:
            if best:
                store.copy(PARAMETERS, BEST)
            captures.append(capture(store, {"written": self.checkpoints}, best=best, rank=None))
            return captures[-1].document

        if self.both(freeze) != ("captured",):
            return None
        ours, theirs = captures
        self.checkpoints += 1
        name = f"{self.run}-{self.checkpoints}"
        read = checkpoint.read(checkpoint.write(self.folder, name, ours.document, ours.vectors()))
        assert read.document == theirs.document
        for vector_name, vector in theirs.vectors():
            assert read.vector(vector_name).tobytes() == vector.tobytes()
        if tidy:
            ours.release()
            theirs.release()
        return read

    def restore(self, saved: Checkpoint | None) -> tuple[str, ...]:
        """A new coordinator takes the run, whose latest checkpoint is ``saved``."""
        self._begin_fence()

        def latest() -> Checkpoint:
            if saved is None:
                raise CheckpointError("there is none")
            return saved

        return self.both(lambda store: restore(store, self.fence, latest, Known()))

    def expire(self, unit: str) -> None:
        """Let the lease on ``unit`` run out, if somebody holds it."""
        key = control(self.run, f"unit:{unit}")
        if self.other.one("HEXISTS", key, "expires"):
            self.other.one("HSET", key, "expires", 1)
        self.model.expire(unit)

    def jump(self, hours: int) -> None:
        """Set the control server's clock, by which all leases run out, live as they may be.

        What ends at a time of before ends as much later if the clock is set back.
        """
        for unit, at in self.model.units.items():
            key = control(self.run, f"unit:{unit}")
            if at.live and self.other.one("HEXISTS", key, "expires"):
                self.other.one("HINCRBY", key, "expires", -3_600_000 * hours)
            self.model.expire(unit)

    def contents(self) -> list[Contents]:
        """All that each shard holds on the server."""
        keys = [key for index in SHARDS for key in self._keys(index)]
        replies = iter(self.other.call([Command(0, ("HGETALL", key)) for key in keys]))
        shards: list[Contents] = []
        for _ in SHARDS:
            found = {what: next(replies) for what in ("meta", *EVERYTHING)}
            shards.append({what: _hash(words) for what, words in found.items() if words})
        return shards

    def contents_of_twin(self) -> list[Contents]:
        """What :meth:`contents` must be."""
        return [{} if at is None else _contents(at) for at in self.twin._shards]

    def end(self) -> None:
        """Leave nothing: a server that keeps every run gets slower and slower."""
        keys = self.other.one("KEYS", f"*{{{self.run}*")
        self.other.one("DEL", *keys)

    def _begin_fence(self) -> None:
        self.fence += 1
        self._write_record("fence", self.fence)
        self.model.fence = self.fence

    def _keys(self, index: int) -> list[str]:
        return [shard(self.run, index, what) for what in ("meta", *EVERYTHING)]

    def _write_record(self, *fields: str | int) -> None:
        self.other.one("HSET", control(self.run, "record"), *fields)


def _hash(words: list[bytes]) -> dict[str, bytes]:
    return dict(zip(map(bytes.decode, words[::2]), words[1::2], strict=True))


def _contents(at: MemoryShard) -> Contents:
    head: dict[str, Any] = {"dtype": "f", "layout": LAYOUT.digest}
    head |= {"fence": at.fence, "clock": at.clock, "refused": at.refused}
    head |= {"change": at.change} if at.change else {}
    head |= {f"attempt:{stream}": attempt for stream, attempt in at.attempts.items()}
    head |= {f"seq:{stream}": sequence for stream, sequence in at.sequences.items()}
    vectors = {
        name: {str(block): values.tobytes() for block, values in vector.items()}
        for name, vector in at.vectors.items()
    }
    return {"meta": {name: str(value).encode() for name, value in head.items()}, **vectors}


def _answer(
    use: Callable[[ParameterStore], object], store: ParameterStore
) -> tuple[tuple[str, ...], object]:
    """The names of the answers, and all else that was answered in types that == compares."""
    try:
        answer = use(store)
    except (ServerError, StoreError, CheckpointError) as error:
        return (type(error).__name__,), str(error)
    match answer:
        case Pushed():
            fresh = None if answer.fresh is None else answer.fresh.tobytes()
            return tuple(map(str, answer.answers)), (_plain(answer.positions), fresh)
        case Positions():
            return ("announced",), _plain(answer)
        case Fetched():
            return ("fetched",), (_plain(answer.positions), answer.vector.tobytes())
        case Restored():
            came_back = "restored" if answer.checkpoint else "taken up"
            return (came_back,), answer
        case dict():
            return ("captured",), answer
        case bool():
            return ("created" if answer else "there already",), None
    return (), answer


def _plain(positions: Positions) -> tuple[list[int], list[int]]:
    return positions.clocks.tolist(), positions.sequences.tolist()
