"""What real runs do: steps, or evaluations, a second between the first reports and the last."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from typing import Any

import distbelief
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.progress.events import Event

#: Workers that begin on a busy machine take their time.
WAIT_S = 60.0

#: No held-out data, no early end: the throughput of training, and nothing else.
PLAIN: Mapping[str, Any] = {"holdout": 0.0, "passes": 100_000, "iterations": 100_000}


#: Reports of each replica that are waited for, and how many times longer than asked a run may be.
LEAST_REPORTS, LONGEST = 7, 30


def rate_of(events: list[Event], counted: str, skipped: int) -> float:
    """What was ``counted`` in each second, the sum over the streams that events are of.

    The first few of each stream do not count.
    """
    streams: dict[str, list[tuple[float, int]]] = {}
    for event in events:
        name = str(event.fields.get("unit", "")).rpartition("-")[0]  # without its last step
        seen = event.fields["training_s"], event.fields[counted]
        streams.setdefault(name, []).append(seen)
    rate = 0.0
    for reports in streams.values():
        found = reports[skipped:]
        if len(found) < 2:
            raise SystemExit(
                f"only {len(reports)} reports of a stream: give the runs more --seconds"
            )
        rate += sum(count for _, count in found[1:]) / (found[-1][0] - found[0][0])
    return rate


def measure(
    settings: Mapping[str, Any],
    replicas: int,
    seconds: float,
    cluster: LocalCluster | ClusterConfig,
) -> float:
    """Steps a second of Downpour, or evaluations of Sandblaster, with so many replicas."""
    batch = settings.get("algorithm") == "sandblaster"
    kind, counted = ("iteration", "evaluations") if batch else ("unit", "steps")
    streams, events, began = 1 if batch else replicas, list[Event](), time.monotonic()

    def enough() -> bool:
        return len(events) >= LEAST_REPORTS * streams and time.monotonic() - began > seconds

    def hear(event: Event) -> None:
        if event.kind == kind:
            events.append(event)

    distbelief.train(
        cluster=cluster,
        on_event=hear,
        should_stop=enough,
        max_seconds=LONGEST * seconds,
        replicas=replicas,
        **{**PLAIN, **settings},
    )
    return rate_of(events, counted, 2)


def measure_embedded(
    settings: Mapping[str, Any], replicas: int, servers: int, seconds: float
) -> float:
    """The same with servers and a worker that are started for it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(servers=servers, processes=replicas, wait_s=WAIT_S) as cluster,
    ):
        return measure(
            {**settings, "folder": folder, "wait_seconds": WAIT_S}, replicas, seconds, cluster
        )
