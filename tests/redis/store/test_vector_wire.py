"""Vectors over a real wire: lost replies, lost scripts, and how little the coordinator moves."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import COUNTED, PARAMETERS, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.redis import costs
from distbelief.app.store.redis.vectors import (
    ACCUMULATE,
    BEGIN,
    COMBINE,
    DOTS,
    ORTHANT,
    PSEUDO,
    SPARSITY,
    RedisVectorStore,
)
from distbelief.coordinator.sandblaster.descent import Evaluate, Settings
from distbelief.coordinator.sandblaster.lbfgs import minimise
from tests.redis.client.proxy import losing_a_reply
from tests.redis.private import PrivateServer, connected

T = TypeVar("T")

RUN = "run"
LAYOUT = Layout((TensorSpec("w", (40,)),), block_numbers=4, n_shards=3, n_servers=1)
FENCE = 1
A, B, OUT, GRADIENT = "vec:a", "vec:b", "vec:out", "vec:gradient"
PORTION = np.arange(1.0, 41.0)


def filled(servers: Servers) -> RedisVectorStore:
    """A store with vectors a, all 2, and b, all 3, where portion 0 of evaluation 1 is counted."""
    store = RedisVectorStore(servers, RUN, LAYOUT, fence=FENCE)
    store.create(np.zeros(40))
    store.combine(A, [], constant=2.0)
    store.combine(B, [], constant=3.0)
    store.begin(1, GRADIENT)
    store.accumulate(FENCE, 1, GRADIENT, 0, PORTION)
    return store


def read(store: VectorStore, name: str) -> list[float]:
    numbers: list[float] = store.fetch(name).vector.tolist()
    return numbers


# --- replies that are lost: the servers have done the work, and are asked again


@dataclass(frozen=True)
class Repeated:
    """An operation whose reply is lost, and the answer and the sum that there must be."""

    script: Script
    call: Callable[[VectorStore], object]
    answer: object
    out: list[float] | None
    gradient: list[float] | None


REPEATED = {
    "dots": Repeated(DOTS, lambda store: store.dots([(A, B)]), [240.0], None, PORTION.tolist()),
    "combine": Repeated(
        COMBINE,
        lambda store: store.combine(OUT, [(2.0, A), (1.0, B)]),
        None,
        [7.0] * 40,
        PORTION.tolist(),
    ),
    "pseudo-gradient": Repeated(
        PSEUDO,
        lambda store: store.pseudo_gradient(OUT, A, B, 0.5),
        None,
        [3.5] * 40,
        PORTION.tolist(),
    ),
    "orthant step": Repeated(
        ORTHANT,
        lambda store: store.orthant_step(OUT, A, B, A, 0.5),
        None,
        [3.0] * 40,
        PORTION.tolist(),
    ),
    "sparsity": Repeated(
        SPARSITY, lambda store: store.sparsity(A), (80.0, 40), None, PORTION.tolist()
    ),
    "begin": Repeated(BEGIN, lambda store: store.begin(2, GRADIENT), None, None, None),
    "a portion": Repeated(
        ACCUMULATE,
        lambda store: store.accumulate(FENCE, 1, GRADIENT, 1, PORTION),
        (Counted.DUPLICATE,) * 3,
        None,
        (2 * PORTION).tolist(),
    ),
    "a portion counted before": Repeated(
        ACCUMULATE,
        lambda store: store.accumulate(FENCE, 1, GRADIENT, 0, PORTION),
        (Counted.DUPLICATE,) * 3,
        None,
        PORTION.tolist(),
    ),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_lost_reply_is_asked_for_again_without_harm(private: PrivateServer, name: str) -> None:
    case = REPEATED[name]
    with connected(private.url) as servers:
        store = filled(servers)
        marker = case.script.sha.encode()
        with losing_a_reply(private.socket, marker) as proxy, connected(proxy.url) as lossy:
            answer = case.call(RedisVectorStore(lossy, RUN, LAYOUT, fence=FENCE))
            assert proxy.lost == 1
        assert answer == case.answer
        there = {name for name in (OUT, GRADIENT) if exists(servers, name)}
        assert (read(store, OUT) if OUT in there else None) == case.out
        assert (read(store, GRADIENT) if GRADIENT in there else None) == case.gradient


def exists(servers: Servers, name: str) -> bool:
    keys = [shard(RUN, index, name) for index in range(LAYOUT.n_shards)]
    return bool(servers.one("EXISTS", *keys))


# --- servers that forget their scripts


@pytest.mark.parametrize("name", REPEATED)
def test_forgotten_scripts_are_not_noticed(private: PrivateServer, name: str) -> None:
    case = REPEATED[name]
    with connected(private.url) as servers:
        store = filled(servers)
        servers.one("SCRIPT", "FLUSH")
        answer = case.call(store)
    assert answer == ((Counted.COUNTED,) * 3 if name == "a portion" else case.answer)


# --- workers that send nonsense


@pytest.mark.parametrize(
    "numbers", [0, 1, 11, 13, 16, 3.5], ids=lambda numbers: f"{numbers} numbers for 12"
)
def test_bytes_that_do_not_fill_the_blocks_change_nothing(
    servers: Servers, run_id: str, numbers: float
) -> None:
    layout = Layout((TensorSpec("w", (12,)),), block_numbers=4, n_shards=1, n_servers=2)
    store = RedisVectorStore(servers, run_id, layout, fence=FENCE)
    store.create(np.zeros(12))
    store.begin(1, GRADIENT)
    store.accumulate(FENCE, 1, GRADIENT, 0, np.ones(12))
    keys = [shard(run_id, 0, what) for what in ("meta", COUNTED, GRADIENT)]
    values = b"\0" * int(8 * numbers)
    with pytest.raises(ServerRefused, match="BADPORTION"):
        servers.call([Command.call(0, ACCUMULATE, keys, (FENCE, 1, 1, 0, 2, 4, values))])
    assert read(store, GRADIENT) == [1.0] * 12
    assert set(store.accumulate(FENCE, 1, GRADIENT, 1, np.ones(12))) == {Counted.COUNTED}


# --- what crosses the coordinator's connections

HISTORY = 5
ITERATIONS = 11


class Metered:
    """A vector space on a server that notes what each operation moves and allocates.

    ``moved`` is in bytes, both ways, by the server's own count; ``allocated`` is the
    largest extra memory of this process while an operation ran.
    """

    def __init__(self, servers: Servers, size: int, block_numbers: int) -> None:
        layout = Layout((TensorSpec("w", (size,)),), block_numbers, n_shards=2, n_servers=1)
        self.store = RedisVectorStore(servers, f"of-{block_numbers:06}", layout, fence=FENCE)
        self.store.create(np.tile([-1.2, 1.0], size // 2))
        self.store.copy(PARAMETERS, "vec:x0")
        self._servers = servers
        self.moved = self.allocated = 0
        self.meter_moves = 0
        before = self._net()
        self.meter_moves = self._net() - before

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        asked = [(f"vec:{a}", f"vec:{b}") for a, b in pairs]
        return self._metered(lambda: self.store.dots(asked))

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None:
        named = [(c, f"vec:{name}") for c, name in terms]
        self._metered(lambda: self.store.combine(f"vec:{out}", named))

    def drop(self, names: Sequence[str]) -> None:
        self._metered(lambda: self.store.drop(*(f"vec:{name}" for name in names)))

    def _net(self) -> int:
        """Bytes in and out of the server since it started, without what asking costs."""
        fields = dict(
            line.split(":", 1)
            for line in self._servers.one("INFO", "stats").decode().splitlines()
            if ":" in line
        )
        return int(fields["total_net_input_bytes"]) + int(fields["total_net_output_bytes"])

    def _metered(self, operation: Callable[[], T]) -> T:
        before = self._net()
        tracemalloc.reset_peak()
        held, _ = tracemalloc.get_traced_memory()
        result = operation()
        self.allocated = max(self.allocated, tracemalloc.get_traced_memory()[1] - held)
        self.moved += self._net() - before - self.meter_moves
        return result


def tiled_rosenbrock(x: Vector) -> tuple[float, Vector]:
    """The mean of Rosenbrock's function over the pairs of numbers."""
    a, b = x.reshape(-1, 2).T
    gradient = np.stack([-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)], axis=1)
    return float(np.mean(100 * (b - a * a) ** 2 + (1 - a) ** 2)), gradient.ravel() / len(a)


def moved_by_iterations(space: Metered) -> list[int]:
    """Bytes moved by each iteration with a full history and a single evaluation."""
    moved, evaluations = [], 0
    minimiser = minimise(space, "x0", Settings(HISTORY, ITERATIONS, 0, 0))
    event = next(minimiser)
    while True:
        if isinstance(event, Evaluate):
            evaluations += 1
            loss, gradient = tiled_rosenbrock(space.store.fetch(f"vec:{event.point}").vector)
            space.store.begin(evaluations, f"vec:{event.gradient}")
            space.store.accumulate(FENCE, evaluations, f"vec:{event.gradient}", 0, gradient)
            event = minimiser.send(loss)
            continue
        if event.state.iteration > HISTORY + 1 and event.evaluations == 1:
            moved.append(space.moved)
        if event.state.iteration == ITERATIONS:
            return moved
        space.moved = 0
        event = next(minimiser)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_what_an_iteration_moves_does_not_grow_with_the_number_of_parameters(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many shards and calls for 100 times as many parameters: only digits may differ."""
    monkeypatch.setattr(costs, "NS_PER_MS", 1e12)
    with connected(private.url) as servers:
        few, many = Metered(servers, 1_000, 125), Metered(servers, 100_000, 12_500)
        small, large = moved_by_iterations(few), moved_by_iterations(many)
    assert min(small) > 0
    assert large == pytest.approx([small[0]] * len(large), rel=0.05)
    assert max(large) < 0.01 * 100_000 * 8  # a hundredth of one vector
    assert many.allocated == pytest.approx(few.allocated, rel=0.1)


def test_calls_of_ten_milliseconds_move_an_eighth_of_a_vector_in_an_iteration(
    private: PrivateServer,
) -> None:
    # A call covers some thousand numbers and names all vectors that it touches. To fetch
    # the history would move 21 whole vectors.
    size = 100_000
    with connected(private.url) as servers:
        space = Metered(servers, size, 1024)
        fresh = ["s20", "y20", "g21.0"]
        basis = [f"{kind}{i}" for kind in "sy" for i in range(10, 20)] + ["g20.0"]
        for name in (*basis, *fresh):
            space.store.combine(f"vec:{name}", [], constant=0.1)
        space.combine("d21", [(-1.2345678901234567e-05, name) for name in basis])
        space.combine("x21.0", [(1.0, "x0"), (1.0, "d21")])
        space.dots([("g21.0", "d21")])
        space.combine("s20", [(1.0, "d21")])
        space.combine("y20", [(1.0, "g21.0"), (-1.0, "g20.0")])
        space.dots([(a, b) for a in fresh for b in basis])
    assert space.moved < 8 * size / 8
