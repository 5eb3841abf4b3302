"""What real runs do: steps, or evaluations, a second between the first reports and the last."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

import distbelief
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.progress.events import Event

#: Workers that begin on a busy machine take their time.
WAIT_S = 60.0

#: Times that the arithmetic is timed by which it is seen how fast the machine is, and its products.
REFERENCES, PRODUCTS = 15, 40

#: No early end: the throughput of training, and nothing else.
ENDLESS = 100_000

#: Reports of each replica that are waited for, and how many times longer than asked a run may be.
LEAST_REPORTS, LONGEST = 7, 30


@dataclass(frozen=True)
class Measured:
    """Steps, or evaluations, a second, and CPU seconds of all processes for each (NaN: unknown)."""

    rate: float
    cpu_s_each: float


@dataclass(frozen=True)
class _Report:
    """A report of a stream: when, how many, and what all processes had used up by then."""

    stream: str
    at: float
    count: int
    cpu_s: float


def measured(reports: list[_Report], skipped: int) -> Measured:
    """The sum of the rates of the streams, without the first few reports of each."""
    streams: dict[str, list[_Report]] = {}
    for each in reports:
        streams.setdefault(each.stream, []).append(each)
    rate = 0.0
    for own in streams.values():
        found = own[skipped:]
        if len(found) < 2:
            raise SystemExit(f"only {len(own)} reports of a stream: give the runs more --seconds")
        rate += sum(each.count for each in found[1:]) / (found[-1].at - found[0].at)
    counted = reports[skipped * len(streams) :]
    cpu_s = counted[-1].cpu_s - counted[0].cpu_s
    seconds = counted[-1].at - counted[0].at
    return Measured(rate, cpu_s / seconds / rate)


def measure(
    settings: Mapping[str, Any],
    replicas: int,
    seconds: float,
    cluster: LocalCluster | ClusterConfig,
) -> Measured:
    """Train with so many replicas, and count what they report."""
    batch = settings.get("algorithm") == "sandblaster"
    kind, counted = ("iteration", "evaluations") if batch else ("unit", "steps")
    streams, reports, began = 1 if batch else replicas, list[_Report](), time.monotonic()

    def enough() -> bool:
        return len(reports) >= LEAST_REPORTS * streams and time.monotonic() - began > seconds

    def hear(event: Event) -> None:
        if event.kind == kind:
            name = str(event.fields.get("unit", "")).rpartition("-")[0]  # without its last step
            seen = event.fields["training_s"], event.fields[counted], _cpu_s(cluster)
            reports.append(_Report(name, *seen))

    distbelief.train(
        cluster=cluster,
        on_event=hear,
        should_stop=enough,
        max_seconds=LONGEST * seconds,
        replicas=replicas,
        **{"iterations" if batch else "passes": ENDLESS, **settings},
    )
    return measured(reports, 2)


def _cpu_s(cluster: LocalCluster | ClusterConfig) -> float:
    """CPU seconds of this process, and of the servers and workers that it started."""
    if isinstance(cluster, ClusterConfig):
        return math.nan
    processes = [psutil.Process()]
    for child in cluster.children:
        own = psutil.Process(child.process.pid)
        processes += [own, *own.children(recursive=True)]
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def reference_s() -> float:
    """CPU seconds that some arithmetic takes which is always the same: the products of a step."""
    rng = np.random.default_rng(0)
    batch, weights = (rng.random(shape, np.float32) for shape in ((64, 784), (784, 256)))
    took = []
    for _ in range(REFERENCES):
        began = time.process_time()
        for _ in range(PRODUCTS):
            hidden = batch @ weights
            weights += 1e-9 * (batch.T @ hidden)
        took.append(time.process_time() - began)
    return statistics.median(took)


def middle(runs: Sequence[Measured]) -> Measured:
    """The run in the middle, by its rate."""
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def measure_embedded(
    settings: Mapping[str, Any], replicas: int, servers: int, seconds: float, runs: int
) -> Measured:
    """The middle one of ``runs`` on servers and a worker that are started for them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(servers=servers, processes=replicas, wait_s=WAIT_S) as cluster,
    ):
        own = {**settings, "folder": folder, "wait_seconds": WAIT_S}
        return middle([measure(own, replicas, seconds, cluster) for _ in range(runs)])
