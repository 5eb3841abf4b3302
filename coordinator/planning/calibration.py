"""What was measured before a plan: distributions of every cost, as plain data that a file holds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from distbelief.app.errors import ConfigError
from distbelief.app.files.documents import parse_object
from distbelief.app.layout.layout import Layout
from distbelief.coordinator.planning.costs import (
    NO_CROWD,
    NO_WAITS,
    Crowd,
    ExchangeCost,
    Samples,
    Waits,
)

FORMAT = 1


@dataclass(frozen=True)
class PlannedWork:
    """The training that is planned: what its costs in the end depend on.

    ``layout`` is that of the calibration. ``n_push`` and ``n_fetch`` are those of the calibration,
    and ``chosen`` says that a training would choose them by its replicas. ``slots`` are vectors of
    the update rule's state that a replica fetches beside the parameters when it begins anew, and
    takes steps of its own: rows of tables come with theirs, and with rounds it keeps its own.
    """

    model: str
    data: str
    examples: int
    parameters: int
    itemsize: int
    layout: dict[str, Any]
    batch_size: int
    passes: int
    n_push: int
    n_fetch: int
    chosen: bool
    optimizer: str
    overlap: bool
    max_staleness: int | None
    unit_length: int
    lease_s: float
    iterations: int
    portions: int
    unit_seconds: float | None = None
    warm_start_steps: int = 0
    slots: int = 0


@dataclass(frozen=True)
class Machines:
    """Where it was measured.

    ``slowdown`` is how many times the CPU seconds of a step grow when all cores are busy; ``load``
    is how many threads wanted a core of the busiest machine before anything was measured.
    """

    embedded: bool
    workers: int
    processes: int
    cores: int
    servers: int
    engines: tuple[str, ...]
    slowdown: float
    load: float


@dataclass(frozen=True)
class Link:
    """Bytes a second between a worker's host and the servers, and the seconds of a round trip.

    ``burst`` are bytes that it lets through at once after a pause, before it limits. ``at_one`` is
    what each of several hosts got that sent to one server at once; empty where there was one.
    """

    up: Samples
    down: Samples
    round_trip_s: Samples
    burst: Samples = ()
    at_one: Samples = ()


@dataclass(frozen=True)
class DispatchCosts:
    """The way of a unit to a worker and back: seconds, and CPU seconds for each of them.

    ``process_s`` are those of the process that takes it, beside the unit's work.
    """

    turnaround_s: Samples
    coordinator_s: float
    control_s: float
    main_s: float
    process_s: float = 0.0


@dataclass(frozen=True)
class DownpourCosts:
    """Costs of Downpour.

    ``steps`` are CPU seconds of a step on the computing thread, a series for each process;
    ``alone`` those of a step without any exchange, by which one process would train.
    ``by_window``: a step waits for the rows that it touches. ``waits`` are those in an exchange.
    ``crowds`` are of processes that are more than cores.
    """

    steps: tuple[Samples, ...]
    alone: Samples
    both: ExchangeCost
    push: ExchangeCost
    fetch: ExchangeCost
    by_window: bool
    waits: Waits = NO_WAITS
    crowds: tuple[Crowd, ...] = ()


@dataclass(frozen=True)
class SandblasterCosts:
    """Costs of Sandblaster.

    ``portions`` are CPU seconds of one, a series for each process; what follows the exchanges are
    CPU seconds for each portion. ``vectors_s`` is what the servers, all of them together, take
    for the arithmetic of L-BFGS between two evaluations. ``waits`` are those of a portion.
    ``process_s`` are CPU seconds of the process that computes a portion, beside computing and
    exchanges; None where it was not told, and they are taken for those of an empty unit.
    ``slowdown`` and ``crowds`` are as those of Downpour; None where it was not measured.
    """

    portions: tuple[Samples, ...]
    add: ExchangeCost
    fetch: ExchangeCost
    coordinator_s: float
    control_s: float
    main_s: float
    vectors_s: float
    layout: dict[str, Any]
    waits: Waits = NO_WAITS
    slowdown: float | None = None
    crowds: tuple[Crowd, ...] = ()
    process_s: float | None = None


@dataclass(frozen=True)
class SeenRate:
    """A throughput that the calibration itself saw: a prediction is held against it.

    In steps, or evaluations, a second, of so many worker processes. ``fitted``: the simulation's
    waits were chosen so that it says the same.
    """

    algorithm: str
    replicas: int
    measured: float
    fitted: bool = False


@dataclass(frozen=True)
class Calibration:
    """All that a plan knows. An algorithm that was not measured is None."""

    work: PlannedWork
    machines: Machines
    dispatch: DispatchCosts
    link: Link | None
    downpour: DownpourCosts | None
    sandblaster: SandblasterCosts | None
    checks: tuple[SeenRate, ...]
    seconds: float

    def slowdown(self, algorithm: str) -> float:
        """How many times the CPU seconds of an algorithm's work grow when all cores are busy."""
        own = self.sandblaster.slowdown if algorithm == "sandblaster" and self.sandblaster else None
        return self.machines.slowdown if own is None else own

    def crowd(self, algorithm: str, per_core: float) -> Crowd:
        """What so many processes for each core cost one another.

        Between two numbers of processes it grows with their logarithm; beyond the largest, and
        where nothing was measured, it does not grow.
        """
        costs = self.sandblaster if algorithm == "sandblaster" else self.downpour
        assert costs is not None
        if per_core <= 1 or not costs.crowds:
            return NO_CROWD
        known = sorted((NO_CROWD, *costs.crowds), key=lambda crowd: crowd.per_core)
        at = [math.log(each.per_core) for each in known]
        growth, wait_s = (
            float(np.interp(math.log(per_core), at, values))
            for values in ([each.growth for each in known], [each.wait_s for each in known])
        )
        return Crowd(per_core, growth, wait_s)

    def layout(self, algorithm: str) -> Layout:
        """That of the calibration of an algorithm: only Downpour has tables."""
        sandblaster = self.sandblaster if algorithm == "sandblaster" else None
        document = self.work.layout if sandblaster is None else sandblaster.layout
        return Layout.from_json(document)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


_CALIBRATION = TypeAdapter(Calibration)


def read_calibration(path: Path) -> Calibration:
    """Read the calibration in a plan's JSON file.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    try:
        found = parse_object(path.read_bytes()).get("calibration")
        if isinstance(found, dict) and found.get("format") not in (None, FORMAT):
            raise ConfigError(
                f"{path} holds a calibration of format {found['format']}, expected {FORMAT}: "
                "measure again, without --calibration"
            )
        return from_json(found)
    except OSError as error:
        raise ConfigError(f"cannot read the calibration {path}: {error.strerror}") from error
    except ValueError as error:  # of JSON, and of what it should hold
        raise ConfigError(
            f"{path} holds no calibration: name the JSON file that 'plan --page' wrote beside it"
        ) from error


def from_json(document: Any) -> Calibration:
    """The calibration of a document; raises ValueError if it is none."""
    if not isinstance(document, dict):
        raise ValueError("a calibration is a JSON object")
    fields = {name: value for name, value in document.items() if name != "format"}
    return _CALIBRATION.validate_python(fields)
