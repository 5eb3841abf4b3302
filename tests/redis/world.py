"""A run twice: on a server and in its models. Whatever is done to both, both must answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from app.errors import ServerError, StoreError
from app.keys import PARAMETERS, control, shard, slot
from app.layout import Layout, TensorSpec
from app.optimizers.adagrad import Adagrad
from app.runs.ledger import Ledger
from app.store.contract import ParameterStore, Positions, Pushed
from app.store.memory import MemoryParameterStore
from app.store.memory_shards import Shard
from app.store.parameters import RedisParameterStore
from app.store.servers import Servers
from tests.redis.ledger_model import LedgerModel

# 19 numbers in 5 blocks of 4, the last of 3; shards of 2, 2 and 1 blocks.
LAYOUT = Layout((TensorSpec("w", (19,)),), 4, n_shards=3, n_servers=1)
SHARDS = range(LAYOUT.n_shards)
STREAMS = range(2)
RULE = Adagrad(0.1, decay=0.25)
VECTORS = (PARAMETERS, *map(slot, RULE.slots))
FIRST_FENCE = 1


@dataclass(frozen=True)
class Copy:
    """A shard as it was at some time: the server's keys, and the twin's."""

    index: int
    keys: dict[str, bytes]
    twin: Shard

    def __repr__(self) -> str:
        return f"<shard {self.index} at clock {self.twin.clock}>"


class World:
    """``script`` and ``ledger`` are on the server, ``twin`` and ``model`` in this process.

    ``other`` is a second client of the server, for what happens behind the back of the
    first. ``seen`` counts the answers by name.
    """

    def __init__(self, servers: Servers, other: Servers, run: str, seen: Counter[str]) -> None:
        self.run, self.seen, self.other = run, seen, other
        self.script = RedisParameterStore(servers, run, LAYOUT, RULE)
        self.twin = MemoryParameterStore(LAYOUT, RULE)
        self.ledger, self.model = Ledger(servers, run), LedgerModel(FIRST_FENCE)
        self.fence = FIRST_FENCE
        first = np.linspace(-1.0, 1.0, LAYOUT.size)
        self.both(lambda store: store.create(FIRST_FENCE, first))
        self._write_record("state", "running", "fence", FIRST_FENCE)

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
        keys = [shard(self.run, index, what) for what in ("meta", *VECTORS)]
        dumped = {key: self.other.one("DUMP", key) for key in keys}
        return Copy(index, dumped, deepcopy(self._twin_shard(index)))

    def put_back(self, copy: Copy) -> None:
        """The shard is what it was: the server lost what it wrote since."""
        for key, value in copy.keys.items():
            self.other.one("RESTORE", key, 0, value, "REPLACE")
        self.twin._shards[copy.index] = deepcopy(copy.twin)

    def raise_fence(self) -> None:
        self.fence += 1
        self.both(lambda store: store.raise_fence(self.fence))
        self._write_record("fence", self.fence)
        self.model.fence = self.fence

    def expire(self, unit: str) -> None:
        """Let the lease on ``unit`` run out, if somebody holds it."""
        key = control(self.run, f"unit:{unit}")
        if self.other.one("HEXISTS", key, "expires"):
            self.other.one("HSET", key, "expires", 1)
        self.model.expire(unit)

    def meta(self, index: int) -> dict[str, str]:
        """The head of a shard on the server."""
        fields = [word.decode() for word in self.other.one("HGETALL", self._meta_key(index))]
        return dict(zip(fields[::2], fields[1::2], strict=True))

    def meta_of_twin(self, index: int) -> dict[str, str]:
        """What :meth:`meta` must be."""
        at = self._twin_shard(index)
        head = {"fence": at.fence, "clock": at.clock, "refused": at.refused}
        head |= {f"attempt:{stream}": attempt for stream, attempt in at.attempts.items()}
        head |= {f"seq:{stream}": sequence for stream, sequence in at.sequences.items()}
        fixed = {"dtype": "f", "layout": LAYOUT.digest}
        return fixed | {name: str(number) for name, number in head.items()}

    def _meta_key(self, index: int) -> str:
        return shard(self.run, index, "meta")

    def _twin_shard(self, index: int) -> Shard:
        at = self.twin._shards[index]
        assert at is not None
        return at

    def _write_record(self, *fields: str | int) -> None:
        self.other.one("HSET", control(self.run, "record"), *fields)


def _answer(
    use: Callable[[ParameterStore], object], store: ParameterStore
) -> tuple[tuple[str, ...], object]:
    """The names of the answers, and all else that was answered in types that == compares."""
    try:
        answer = use(store)
    except (ServerError, StoreError) as error:
        return (type(error).__name__,), str(error)
    if isinstance(answer, Pushed):
        fresh = None if answer.fresh is None else answer.fresh.tobytes()
        return tuple(map(str, answer.answers)), (_plain(answer.positions), fresh)
    if isinstance(answer, Positions):
        return ("ANNOUNCED",), _plain(answer)
    return (), answer


def _plain(positions: Positions) -> tuple[list[int], list[int]]:
    return positions.clocks.tolist(), positions.sequences.tolist()
