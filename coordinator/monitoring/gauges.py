"""The metrics that Prometheus gets of a training: sums over events, and the last status.

Counters are sums over what this process was told, so they only grow; how far a run is, which
may go back when lost data are restored, is told by gauges.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import DownpourStatus, SandblasterStatus, Status

#: Upper bounds of the histogram of staleness, in pushes.
STALENESS = (0, 1, 2, 4, 8, 16, 32, 64, 128)

#: One value, or values by those of a label.
Values = float | Mapping[str, float]


@dataclass
class Sums:
    """Sums over the events that this process alone was told so far."""

    events: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    examples: int = 0
    pushes: int = 0
    refused: int = 0
    waited_s: float = 0.0
    network: NetworkUse = field(default_factory=NetworkUse)
    staleness: Counter[int] = field(default_factory=Counter)
    engines: dict[str, str] = field(default_factory=dict)
    checkpoint_at: float = math.nan
    wanted: int = 0

    def add(self, event: Event) -> None:
        """Go on with an event."""
        told = event.fields
        self.events[event.kind] += 1
        if event.kind == "unit":
            self.steps += told["steps"]
            self.examples += told["examples"]
            self.pushes += told["pushes"]
            self.refused += told["refused"]
            self.waited_s += told["waited_s"]
            self.network = self.network.with_unit(told)
            for value, count in told["staleness"].items():
                self.staleness[int(value)] += count
        elif event.kind == "surroundings":
            servers = told["parameter_servers"]
            self.engines = {each["address"]: each["engine"] for each in servers}
        elif event.kind == "wanted":
            self.wanted = told["processes"]
        elif event.kind == "checkpoint":
            self.checkpoint_at = event.at


class Families:
    """Makes metrics that all have the label ``run``."""

    def __init__(self, run: str) -> None:
        self._run = run

    def counter(self, name: str, text: str, values: Values, label: str = "") -> Metric:
        """``values`` by the values of ``label``, or one alone."""
        family = CounterMetricFamily(f"distbelief_{name}", text, labels=self._labels(label))
        for key, value in self._items(values):
            family.add_metric(key, value)
        return family

    def gauge(self, name: str, text: str, values: Values, label: str = "") -> Metric:
        """Values as of a :meth:`counter`, but that may go down; one that is NaN is left out."""
        family = GaugeMetricFamily(f"distbelief_{name}", text, labels=self._labels(label))
        for key, value in self._items(values):
            if not math.isnan(value):
                family.add_metric(key, value)
        return family

    def info(self, name: str, text: str, values: dict[str, str]) -> Metric:
        family = InfoMetricFamily(f"distbelief_{name}", text, labels=["run"])
        family.add_metric([self._run], values)
        return family

    def histogram(self, name: str, text: str, counts: Counter[int]) -> Metric:
        """A histogram of whole numbers, in the bins of :data:`STALENESS`."""
        bins = [0] * (len(STALENESS) + 1)
        for value, count in counts.items():
            bins[bisect_left(STALENESS, value)] += count
        bounds = [*map(str, STALENESS), "+Inf"]
        buckets = [(bound, sum(bins[: index + 1])) for index, bound in enumerate(bounds)]
        family = HistogramMetricFamily(f"distbelief_{name}", text, labels=["run"])
        total = sum(value * count for value, count in counts.items())
        family.add_metric([self._run], buckets, total)
        return family

    def engines(self, text: str, engines: dict[str, str]) -> Metric:
        """1 for each server and its engine."""
        labels = ["run", "server", "engine"]
        family = GaugeMetricFamily("distbelief_engine_info", text, labels=labels)
        for server, engine in engines.items():
            family.add_metric([self._run, server, engine], 1)
        return family

    def _labels(self, label: str) -> list[str]:
        return ["run", label] if label else ["run"]

    def _items(self, values: Values) -> Iterator[tuple[list[str], float]]:
        if isinstance(values, Mapping):
            yield from (([self._run, key], value) for key, value in values.items())
        else:
            yield [self._run], values


def metrics(
    of: Families, sums: Sums, status: Status | None, score_formatter: ScoreFormatter
) -> Iterator[Metric]:
    """All metrics of a training, as it stands now."""
    yield from _events(of, sums)
    if status is None:  # whoever starts workers looks at what is wanted before there are any
        yield from _workers(of, 0, sums.wanted)
        return
    yield from _common(of, status, score_formatter)
    if isinstance(status, DownpourStatus):
        yield from _downpour(of, sums, status)
    else:
        yield from _sandblaster(of, status)


def _events(of: Families, sums: Sums) -> Iterator[Metric]:
    events = sums.events
    if sums.engines:
        text = "1 for the engine that computes on each parameter server."
        yield of.engines(text, sums.engines)
    yield of.counter("heldout_evaluations", "Held-out evaluations.", events["evaluation"])
    yield of.counter("checkpoints", "Checkpoints written.", events["checkpoint"])
    yield of.gauge(
        "last_checkpoint_timestamp_seconds",
        "When the last checkpoint was written, in seconds since 1970.",
        sums.checkpoint_at,
    )
    yield of.counter("data_losses", "Times that a server lost data of the run.", events["lost"])
    yield of.counter(
        "resent_units", "Units sent again: a worker or a message was lost.", events["resent"]
    )


def _common(of: Families, status: Status, score_formatter: ScoreFormatter) -> Iterator[Metric]:
    yield of.gauge("training_seconds", "Seconds of training so far.", status.seconds)
    yield of.gauge("loss", "Training loss; of recent units, or at the last iteration.", status.loss)
    share = status.done / status.total if status.total else math.nan
    yield of.gauge("progress_ratio", "Share of the passes or iterations that is done.", share)
    yield from _workers(of, status.workers, status.wanted)
    for name, text, found in (
        ("heldout", "Measures of the last held-out evaluation.", status.evaluation),
        ("best_heldout", "Measures of the best held-out evaluation.", status.best),
    ):
        measures = found.score.measures(score_formatter.task) if found is not None else {}
        yield of.gauge(name, text, measures, "measure")


def _workers(of: Families, at_work: int, wanted: int) -> Iterator[Metric]:
    yield of.gauge("workers_at_work", "Worker processes heard of a moment ago.", at_work)
    yield of.gauge("workers_wanted", "Worker processes for which there is work.", wanted)


def _downpour(of: Families, sums: Sums, status: DownpourStatus) -> Iterator[Metric]:
    yield of.counter("steps", "Minibatches that replicas reported.", sums.steps)
    yield of.counter("examples", "Examples in the work that was reported.", sums.examples)
    yield of.counter("pushes", "Pushes that replicas reported.", sums.pushes)
    yield of.counter("refused_pushes", "Pushes refused because they were not finite.", sums.refused)
    yield of.counter(
        "waited_seconds", "Seconds that replicas were held back for slower ones.", sums.waited_s
    )
    yield from _network(of, sums.network)
    yield of.histogram(
        "staleness_pushes",
        "Pushes of others between a gradient's fetch and its own push.",
        sums.staleness,
    )
    yield of.gauge(
        "goodput_ratio",
        "Share of the steps that worker processes could have computed which count.",
        status.goodput,
    )
    yield of.gauge("passes", "Passes over the training data that are done.", status.passes)
    yield of.gauge("planned_passes", "Passes that are planned.", status.total_passes)
    yield of.gauge(
        "units_in_flight", "Units that were sent and not reported.", status.units_in_flight
    )
    shards = list(enumerate(status.shards))
    yield of.gauge(
        "shard_applied_pushes",
        "Pushes that a shard has applied; less again when lost data are restored.",
        {str(number): shard.applied for number, shard in shards},
        "shard",
    )
    yield of.gauge(
        "shard_refused_pushes",
        "Pushes that a shard has refused.",
        {str(number): shard.refused for number, shard in shards},
        "shard",
    )


def _network(of: Families, used: NetworkUse) -> Iterator[Metric]:
    moved = {"sent": used.sent, "received": used.received}
    text = "Bytes that replicas exchanged with parameter servers."
    yield of.counter("network_bytes", text, moved, "direction")
    yield of.counter(
        "network_waited_seconds",
        "Seconds that steps waited for exchanges with parameter servers.",
        used.waited_s,
    )
    yield of.counter("unit_seconds", "Seconds of the units that were reported.", used.seconds)


def _sandblaster(of: Families, status: SandblasterStatus) -> Iterator[Metric]:
    tally = status.tally
    yield of.counter("examples", "Examples in the portions that were answered.", status.examples)
    yield of.gauge("iterations", "Iterations that are done.", status.iteration)
    yield of.gauge(
        "planned_iterations", "Most iterations that are planned.", status.total_iterations
    )
    yield of.gauge("gradient_norm", "Length of the gradient.", status.gradient_norm)
    yield of.gauge("step_length", "Step of the last line search.", status.step)
    yield of.gauge(
        "batch_evaluations",
        "Evaluations of the whole batch; goes on in a resumed run.",
        status.evaluations,
    )
    yield of.counter("portions", "Portions that were answered first.", tally.portions)
    yield of.gauge("portions_outstanding", "Portions that are out.", status.portions_outstanding)
    yield of.counter(
        "backups",
        "Backup tasks: sent, and of these won or wasted.",
        {"sent": tally.sent, "won": tally.won, "wasted": tally.wasted},
        "outcome",
    )
    yield of.counter(
        "resent_portions", "Portions sent again: they failed or were lost.", tally.retries
    )
    nonzeros = math.nan if status.nonzeros is None else status.nonzeros
    yield of.gauge("nonzero_weights", "Weights that are not zero, under an L1 term.", nonzeros)
