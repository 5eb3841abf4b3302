"""Set-ups whose bottleneck is known by arithmetic, and what the simulation says of each.

Each resource has a capacity in steps (or evaluations) a second, from the costs alone; the one with
the least is the bottleneck, and in every set-up it has at most 60 % of the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.coordinator.planning.calibration import (
    Calibration,
    DispatchCosts,
    DownpourCosts,
    Machines,
    PlannedWork,
    SandblasterCosts,
)
from distbelief.coordinator.planning.costs import ExchangeCost, LineCost
from distbelief.coordinator.planning.simulation import downpour, sandblaster
from distbelief.coordinator.planning.simulation.fleet import Fleet, Network, ServerShares
from distbelief.coordinator.planning.simulation.replica import Intervals

NUMBERS = 200_000
GIGABIT = 1e9 / 8
PORTIONS = 128

#: Shapes of distributions: steps, exchanges and portions take now less, now more.
STEPS = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)
OFTEN_SLOW = (0.7, 0.8, 0.9, 0.9, 1.0, 1.0, 1.7)


@dataclass(frozen=True)
class Setup:
    """A set-up: seconds, bytes, counts and links, and the resource that is known to be short.

    ``embedded`` runs on one machine of that many ``cores``; ``latency_s`` is that of one way.
    """

    name: str
    known: str
    step_s: float = 1e-3
    client_s: float = 1e-4
    server_s: float = 1e-4
    bytes_each: float = 8e5
    replicas: int = 8
    servers: int = 2
    worker_link: float = 100 * GIGABIT
    server_link: float = 100 * GIGABIT
    latency_s: float = 5e-5
    n_push: int = 1
    embedded: bool = False
    cores: int = 4
    algorithm: str = "downpour"
    coordinator_s: float = 1e-5


#: The set-ups. Where a comment gives capacities, they are in steps a second.
SETUPS = (
    # computing 8 / 20 ms = 400; servers 2 / 0.1 ms = 20,000
    Setup("a slow model on few workers", "computing", step_s=2e-2),
    # computing 8,000; servers 2 / 1 ms = 2,000
    Setup("slow servers (Lua)", "servers", server_s=1e-3),
    # computing 100,000; servers 10 / 0.2 ms = 50,000; one replica hides its exchange
    Setup("many replicas on few servers", "servers", replicas=400, servers=4, server_s=2e-4),
    # worker links: 4 hosts x 12.5 MB/s / 400 kB = 125; computing 8,000
    Setup("100 Mbit/s to the workers", "worker links", worker_link=GIGABIT / 10),
    # worker links: 4 x 125 MB/s / 400 kB = 1,250; computing 8,000
    Setup("1 Gbit/s to the workers", "worker links", worker_link=GIGABIT),
    # server links: 2 x 125 MB/s / 400 kB = 625; computing 32,000
    Setup("1 Gbit/s to the servers", "server links", replicas=32, server_link=GIGABIT),
    # server links: 20 x 125 MB/s / 400 kB = 6,250; computing 200,000
    Setup(
        "a large fleet on 1 Gbit/s to the servers",
        "server links",
        replicas=200,
        servers=20,
        server_link=GIGABIT,
    ),
    # one exchange takes 40 ms there and back, a step 1 ms: nothing is saturated
    Setup("servers on another continent", "exchanges", latency_s=2e-2),
    # pushes at every fourth step: servers could do 8,000 of them, computing is 8,000 steps
    Setup("slow servers, rare pushes", "computing", server_s=2e-4, n_push=4),
    # cores: 2 / 1.3 ms = 1,540 of all; one server thread 10,000
    Setup("eight replicas on two cores", "cores", embedded=True, cores=2),
    # one replica on four cores: it computes, and its exchange is hidden
    Setup("one replica on four cores", "computing", embedded=True, replicas=1),
    # portions: 8 / 20 ms / 128; coordinator 1 / (10 us x 128)
    Setup("long portions", "computing", algorithm="sandblaster", step_s=2e-2),
    # coordinator: 1 / 2 ms = 500 portions a second; 64 workers: 6,400
    Setup(
        "short portions on many workers",
        "coordinator",
        algorithm="sandblaster",
        step_s=1e-2,
        replicas=64,
        coordinator_s=2e-3,
        bytes_each=8e3,
    ),
    # 1,000 workers, 128 portions of 50 ms
    Setup(
        "more workers than portions",
        "portions",
        algorithm="sandblaster",
        step_s=5e-2,
        replicas=1000,
        bytes_each=8e3,
    ),
)


def named_by_simulation(setup: Setup, seed: int = 0) -> str:
    """The resource that the simulation says the set-up is limited by."""
    known, fleet = _calibration(setup), _fleet(setup)
    if setup.algorithm == "sandblaster":
        return sandblaster.simulate(known, fleet, seed).limit
    intervals = Intervals(setup.n_push, setup.n_push)
    return downpour.simulate(known, fleet, intervals, seed).limit


def _layout(servers: int) -> Layout:
    return Layout.plan([TensorSpec("w", (NUMBERS,))], n_servers=servers)


def _line(each: float, spread: tuple[float, ...] = (1.0,)) -> LineCost:
    return LineCost(0.0, 0.0, 0.0, each / NUMBERS, spread)


def _fleet(setup: Setup) -> Fleet:
    shares = ServerShares.of(_layout(setup.servers))
    links = setup.worker_link, setup.worker_link, setup.server_link
    network = None if setup.embedded else Network(*links, setup.latency_s)
    return Fleet(setup.replicas, 2, setup.cores, 1.0, shares, network)


def _calibration(setup: Setup) -> Calibration:
    half = setup.bytes_each / 2
    exchange = ExchangeCost(
        _line(setup.client_s, STEPS), _line(setup.server_s, OFTEN_SLOW), _line(half), _line(half)
    )
    steps = tuple(setup.step_s * each for each in STEPS)
    layout = _layout(setup.servers).to_json()
    return Calibration(
        work=_work(layout),
        machines=Machines(setup.embedded, 1, 2, setup.cores, setup.servers, ("native",), 1.0, 0.0),
        dispatch=DispatchCosts((2e-3,), setup.coordinator_s, 1e-5, 1e-5),
        link=None,
        downpour=DownpourCosts((steps,), steps, exchange, exchange, exchange, False),
        sandblaster=SandblasterCosts(
            (steps,), exchange, exchange, setup.coordinator_s, 1e-5, 1e-5, 1e-4, layout
        ),
        checks=(),
        seconds=0.0,
    )


def _work(layout: dict[str, object]) -> PlannedWork:
    return PlannedWork(
        model="mlp",
        data="made up",
        examples=100_000,
        parameters=NUMBERS,
        itemsize=4,
        layout=layout,
        batch_size=64,
        passes=10,
        n_push=1,
        n_fetch=1,
        chosen=False,
        optimizer="adagrad",
        overlap=True,
        max_staleness=None,
        unit_length=200,
        lease_s=10.0,
        iterations=100,
        portions=PORTIONS,
    )


def judged(seed: int = 0) -> list[tuple[Setup, str]]:
    """Each set-up with what the simulation says."""
    return [(setup, named_by_simulation(setup, seed)) for setup in SETUPS]
