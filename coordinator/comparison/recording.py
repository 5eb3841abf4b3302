"""Records a trial while it trains: what it has used, and its parameters, at each evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.models.losses import silently
from distbelief.app.runs.leadership import read_run
from distbelief.app.runs.record import RunRecord
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.comparison.meter import Meter, Reading
from distbelief.coordinator.comparison.outcome import Costs, Point
from distbelief.coordinator.comparison.snapshots import Snapshots, scored
from distbelief.coordinator.inference.run_parameters import Store, read_now, store_of
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.status import Status

#: From one point of a trial to the next, of the time that it has trained.
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class Record:
    """What was there at a moment; the parameters lie in a file."""

    reading: Reading
    examples: float


class Recorder:
    """Listens to one training on servers.

    A point is what stands in the servers in the moment after an evaluation was told, and what
    was used until then. Nobody waits for it to be scored: that comes when all is over.

    Args:
        endpoints: the servers.
        meter: counts what is used.
        snapshots: where parameters are kept.
        runs: the folder in which the run has one.
    """

    def __init__(
        self, endpoints: Endpoints, meter: Meter, snapshots: Snapshots, runs: Path
    ) -> None:
        self._control = Servers([endpoints.control])
        self._urls = endpoints.parameter_servers
        self._meter = meter
        self._snapshots = snapshots
        self._runs = runs
        self._servers: Servers | None = None
        self._store: Store | None = None
        self._run: RunRecord | None = None
        self._due = False
        self._examples = 0.0
        self._before = 0.0
        self.records: list[Record] = []

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(lambda _: None, self._see, self._hear)

    def close(self) -> None:
        self._control.close()
        if self._servers is not None:
            self._servers.close()

    def _hear(self, event: Event) -> None:
        if event.kind == "start" and self._run is None:
            self._open(int(event.fields["fence"]))
            self._take()
        elif event.kind == "evaluation" and self._run is not None:
            self._due = True

    def _see(self, status: Status) -> None:
        if status.examples < self._examples:  # another driver has taken over, and begins to count
            self._before += self._examples
        self._examples = float(status.examples)
        if self._due:
            self._due = False
            self._take(last=_over(status))

    def _open(self, fence: int) -> None:
        (name,) = (each.name for each in self._runs.iterdir() if each.is_dir())
        self._run = read_run(self._control, name, fence)
        self._servers = Servers(self._urls, engines=self._run.engines)
        self._store = store_of(self._servers, self._run)

    def _take(self, *, last: bool = False) -> None:
        """Note what was used, then read the parameters, which does not count."""
        assert self._run is not None
        assert self._store is not None
        reading = self._meter.read()
        if not last and too_soon(self.records, reading.moment):
            return
        vector, tables = read_now(self._control, self._store, self._run)
        self._meter.own_bytes += vector.nbytes
        self._meter.own_bytes += sum(each.ids.nbytes + each.values.nbytes for each in tables)
        self._snapshots.keep(len(self.records), vector, tables)
        self.records.append(Record(reading, self._before + self._examples))


def too_soon(records: Sequence[Record], moment: float) -> bool:
    """Whether the last of the records was made so shortly before that it says the same."""
    if not records:
        return False
    first, last = (each.reading.moment for each in (records[0], records[-1]))
    return moment - last < LEAST_SHARE * (last - first)


def _over(status: Status) -> bool:
    """Whether there is nothing to do any more but what is under way."""
    limit_s = status.limit_s
    return status.steps >= status.total_steps or (limit_s is not None and status.seconds >= limit_s)


@silently
def points(
    problem: Problem,
    snapshots: Snapshots,
    records: Sequence[Record],
    costs: Callable[[Reading, Reading, float], Costs],
) -> list[Point]:
    """The points of records that were made, scored."""
    found = []
    for number, record in enumerate(records):
        vector, tables = snapshots.read(number, len(problem.layout.tables))
        metric, loss = scored(problem, vector, tables)
        used = costs(records[0].reading, record.reading, record.examples)
        found.append(Point(used, metric, loss))
    return found
