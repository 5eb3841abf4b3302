"""Predictions of ``distbelief plan`` held against real runs: ``python tests/benchmarks/plan.py``.

``--part embedded``, ``--part network`` or ``--part bottlenecks`` runs only some of it, and
``--digits IMAGES`` trains on MNIST's images, with labels beside them (else on synthetic examples of
the same shape). Prints what was predicted, what was measured, and how many of them are within 10 %;
the load of the machine before and after, for a busy one spoils seconds. A host that is shared with
strangers has fast and slow minutes: before each run it is seen how many times slower some
arithmetic is than it was just after the calibration, and what error is left beside that.
``--calibrate 30`` and ``--seconds 8`` are those of each calibration, and of each run; of
``--runs 3`` the middle one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from contest.figures import table
from distbelief.app.settings.config import TURNS, configure
from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibrating import calibrate
from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.forecast import Forecaster
from distbelief.coordinator.planning.simulation.outcome import RESOURCES
from planning.bottlenecks import judged
from planning.measuring import WAIT_S, measure, measure_embedded, middle, reference_s
from planning.namespaces import fleet, why_not

ALGORITHMS = ("downpour", "sandblaster")
PARTS = ("embedded", "network", "bottlenecks")
WORKERS, SERVERS = (1, 2, 4, 8), (1, 2, 4)
HOSTS, LINKS = 2, (None, 1000.0, 100.0)

#: A prediction is good if it is as near as this.
NEAR = 0.10

#: Calibrations and runs have the same examples: none is held out.
MODEL: dict[str, Any] = {
    "model": "mlp",
    "hidden": (256,),
    "batch_size": 64,
    "seed": 1,
    "holdout": 0.0,
}
EACH_STEP: dict[str, Any] = {"n_push": 1, "n_fetch": 1}

#: Units end so soon, in runs and in what is simulated: reports come often, however slow links are.
UNIT_S = 0.7
SHORT_UNITS: dict[str, Any] = {"unit_seconds": TURNS * UNIT_S}


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--algorithm", action="append", choices=ALGORITHMS)
    parser.add_argument("--digits", metavar="IMAGES")
    parser.add_argument("--calibrate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--workers", type=_counts, default=WORKERS, metavar="1,2,4,8")
    parser.add_argument("--servers", type=_counts, default=SERVERS, metavar="1,2,4")
    parser.add_argument("--links", type=_links, default=LINKS, metavar="0,1000,100")
    asked = parser.parse_args()
    print(f"$ python {shlex.join(sys.argv)}")
    for part in asked.part or PARTS:
        print(f"\n{part}, {time.strftime('%Y-%m-%d %H:%M:%S')}, {load()}")
        for line in {"embedded": embedded, "network": network, "bottlenecks": named}[part](asked):
            print(line, flush=True)
        print(load())


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _links(text: str) -> tuple[float | None, ...]:
    """Megabits a second; 0 for no limit."""
    return tuple(float(each) or None for each in text.split(","))


def load() -> str:
    """The load of the machine in words."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def data_of(asked: argparse.Namespace) -> dict[str, Any]:
    """MNIST's images, or examples of their shape."""
    if asked.digits:
        return {"data": asked.digits}
    options = {"examples": 10_000, "features": 784, "classes": 10}
    return {"data": "synthetic:softmax", "data_options": options}


def embedded(asked: argparse.Namespace) -> Iterator[str]:
    """One calibration, then all numbers of workers and servers on this machine."""
    settings = {**MODEL, **data_of(asked)}
    for algorithm in asked.algorithm or ALGORITHMS:
        own = settings | (EACH_STEP if algorithm == "downpour" else {"algorithm": algorithm})
        known = calibrate(
            {**own, "algorithm": algorithm},
            configure({**own, "wait_seconds": WAIT_S})[1],
            asked.calibrate,
            _quiet,
        )
        if algorithm == "downpour":
            known, own = by_short_units(known), own | SHORT_UNITS
        forecaster = Forecaster(known, Assumptions())
        yield f"{algorithm}: calibrated with {known.machines}"
        then_s = reference_s()
        rows, errors, cpu_errors, equal = [], list[float](), list[float](), list[float]()
        for servers in asked.servers:
            for workers in asked.workers:
                row = forecaster.row(algorithm, workers, servers, here=True)
                slower = reference_s() / then_s
                measured = measure_embedded(own, workers, servers, asked.seconds, asked.runs)
                cells, error = _compared(row.outcome.rate, measured.rate)
                errors.append(error)
                outcome = 1000 * row.outcome.cpu_s_each, 1000 * measured.cpu_s_each
                spent, error = _compared(*outcome)
                cpu_errors.append(error)
                cells += spent
                now, error = _compared(row.outcome.rate / slower, measured.rate)
                equal.append(error)
                cells += [f"{slower:.2f}", now[-1], RESOURCES[row.outcome.limit]]
                rows.append([f"{workers} workers, {servers} servers", *cells])
        head = ["", "predicted/s", "measured/s", "error", "CPU ms predicted", "measured", "error"]
        head += ["machine slower", "error beside that", "limited by"]
        yield from table(head, rows)
        yield f"throughput: {_verdict(errors)}"
        yield f"throughput of a machine as slow as it was then: {_verdict(equal)}"
        yield f"CPU seconds: {_verdict(cpu_errors)}"


def network(asked: argparse.Namespace) -> Iterator[str]:
    """Two worker hosts whose links are limited, calibrated and run over each."""
    if why := why_not():
        yield f"skipped: {why}"
        return
    settings, rows, errors = {**MODEL, **EACH_STEP, **data_of(asked)}, [], list[float]()
    alone = 0.0
    for megabits in asked.links:
        with fleet(servers=2, workers=HOSTS, megabits=megabits) as variables:
            where = {
                "broker": variables["DISTBELIEF_BROKER"],
                "parameter_servers": tuple(variables["DISTBELIEF_PARAMETER_SERVERS"].split(",")),
                "wait_seconds": WAIT_S,
            }
            own = {**settings, **where, "algorithm": "downpour"}
            cluster = configure(own)[1]
            known = by_short_units(calibrate(own, cluster, asked.calibrate, _quiet))
            forecaster = Forecaster(known, Assumptions(processes=1))
            row = forecaster.row("downpour", HOSTS, 2)
            alone = max(alone, forecaster.alone("downpour").rate)
            runs = [
                measure(settings | SHORT_UNITS, HOSTS, asked.seconds, cluster)
                for _ in range(asked.runs)
            ]
            measured = middle(runs)
        cells, error = _compared(row.outcome.rate, measured.rate)
        errors.append(error)
        name = "no limit" if megabits is None else f"{megabits:g} Mbit/s"
        assert known.link is not None
        seen = f"{8e-6 * statistics.median(known.link.up):,.0f} Mbit/s"
        rows.append([name, *cells, seen, RESOURCES[row.outcome.limit]])
    head = ["two worker hosts", "predicted/s", "measured/s", "error", "link seen", "limited by"]
    yield from table(head, rows)
    yield f"one process alone: {alone:,.0f}/s, by the calibration"
    yield _verdict(errors)


def by_short_units(known: Calibration) -> Calibration:
    """What was measured, for runs with short units."""
    return replace(known, work=replace(known.work, unit_seconds=UNIT_S))


def named(asked: argparse.Namespace) -> Iterator[str]:
    """The list of set-ups, with the bottleneck that is known and the one that is named."""
    found = judged()
    yield from table(
        ["set-up", "known", "named"], [[setup.name, setup.known, said] for setup, said in found]
    )
    right = sum(setup.known == said for setup, said in found)
    yield f"{right} of {len(found)} bottlenecks are named right"


def _compared(predicted: float, measured: float) -> tuple[list[str], float]:
    error = predicted / measured - 1
    return [f"{predicted:,.3g}", f"{measured:,.3g}", f"{100 * error:+.0f} %"], error


def _verdict(errors: list[float]) -> str:
    near = sum(abs(error) <= NEAR for error in errors)
    middle = statistics.median(abs(error) for error in errors)
    return (
        f"{near} of {len(errors)} predictions within {100 * NEAR:.0f} %; "
        f"the error in the middle is {100 * middle:.0f} %"
    )


def _quiet(_: str) -> None:
    """The calibration's own lines are not for a benchmark's output."""


if __name__ == "__main__":
    main()
