"""Calibrations of machines that do not exist, whose costs are known to the microsecond."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.coordinator.planning.calibration import (
    Calibration,
    DispatchCosts,
    DownpourCosts,
    Link,
    Machines,
    PlannedWork,
    SandblasterCosts,
)
from distbelief.coordinator.planning.costs import ExchangeCost, LineCost
from distbelief.coordinator.planning.simulation.fleet import Fleet, Network, ServerShares, Trouble

NUMBERS = 40_000

#: A link that nothing waits for.
ENDLESS = Network(1e15, 1e15, 1e15, 0.0)


def line(each: float) -> LineCost:
    """So much for all the numbers of an exchange, always the same."""
    return LineCost(0.0, 0.0, 0.0, each / NUMBERS)


def cost(
    client_s: float = 0.0, server_s: float = 0.0, up: float = 0.0, down: float = 0.0
) -> ExchangeCost:
    return ExchangeCost(line(client_s), line(server_s), line(up), line(down))


def layout(n_servers: int = 1) -> Layout:
    return Layout.plan([TensorSpec("w", (NUMBERS,))], n_servers=n_servers)


def calibration(
    step_s: float = 1e-3,
    exchange: ExchangeCost | None = None,
    portion_s: float = 1e-2,
    unit_length: int = 1 << 40,
    turnaround_s: float = 0.0,
    **words: Any,
) -> Calibration:
    exchange = exchange or cost()
    work: dict[str, Any] = {
        "model": "mlp",
        "data": "made up",
        "examples": 100_000,
        "parameters": NUMBERS,
        "itemsize": 4,
        "layout": layout().to_json(),
        "batch_size": 64,
        "passes": 10,
        "n_push": 1,
        "n_fetch": 1,
        "optimizer": "adagrad",
        "chosen": False,
        "overlap": True,
        "max_staleness": None,
        "unit_length": unit_length,
        "lease_s": 10.0,
        "iterations": 100,
        "portions": 64,
    }
    return Calibration(
        work=PlannedWork(**{**work, **words}),
        machines=Machines(False, 1, 2, 2, 1, ("native",), 1.0, 0.0),
        dispatch=DispatchCosts((turnaround_s,), 0.0, 0.0, 0.0),
        link=Link((1e9,), (1e9,), (1e-4,), ()),
        downpour=DownpourCosts(
            steps=((step_s,),),
            alone=(step_s,),
            both=exchange,
            push=exchange,
            fetch=exchange,
            by_window=False,
        ),
        sandblaster=SandblasterCosts(
            ((portion_s,),), exchange, exchange, 0.0, 0.0, 0.0, 0.0, layout().to_json()
        ),
        checks=(),
        seconds=30.0,
    )


def fleet(
    replicas: int = 1,
    servers: int = 1,
    network: Network | None = ENDLESS,
    processes: int = 2,
    cores: int = 64,
    slowdown: float = 1.0,
    trouble: Trouble | None = None,
) -> Fleet:
    """Worker hosts have cores for everything, unless they are told to have fewer."""
    shares = ServerShares.of(layout(servers))
    made = Fleet(replicas, processes, cores, slowdown, shares, network)
    return made if trouble is None else replace(made, trouble=trouble)
