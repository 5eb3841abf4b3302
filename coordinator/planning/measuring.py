"""Calibration: thirty seconds on the servers and workers of the training that is planned.

A run of its own is opened, as a training opens one, with the same checks; workers report what
steps, exchanges and portions cost them; nothing of it stays on the servers.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.intervals import longest_interval
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.calibration import (
    Calibration,
    DispatchCosts,
    DownpourCosts,
    Link,
    Machines,
    PlannedWork,
    SeenRate,
)
from distbelief.coordinator.planning.costs import (
    ExchangeCost,
    Measured,
    Samples,
    SmallExchanges,
    fit_exchange,
)
from distbelief.coordinator.planning.crowding import (
    LEAST_SLOWDOWN,
    MOST_SLOWDOWN,
    AtOnce,
    counts,
    crowds_of,
    steps_at_once,
)
from distbelief.coordinator.planning.opening import opened
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.resources import TrainingResources
from distbelief.worker_tasks.server_meter import ServerMeter

#: Empty units, one after another: what a unit costs beside its work.
EMPTY_UNITS = 25

#: Shares of the time; there is no link where all is on one machine, and no crowd elsewhere.
EXCHANGES, ALONE, TOGETHER, CROWD, LINK = 0.3, 0.15, 0.25, 0.15, 0.2

#: What holds a replica back is simulated, not measured.
UNHINDERED = {"max_staleness": None, "warm_start_steps": 0}


@dataclass(frozen=True)
class _Reports:
    """What workers reported: ``together`` and ``link`` are those of all at once.

    Of all cores, where all is on one machine: ``crowds`` are those of more processes.
    """

    opening: list[Report]
    dispatch: DispatchCosts
    exchanges: Report
    alone: Report
    together: AtOnce
    crowds: list[AtOnce]
    link: Link | None

    @property
    def hosts(self) -> list[Report]:
        """One of each worker."""
        return list({each["worker"]: each for each in self.together.reports}.values())


def measure_downpour(
    problem: Problem,
    cluster: ClusterConfig,
    processes: int,
    seconds: float,
    say: Callable[[str], None],
    local: LocalCluster | None = None,
) -> Calibration:
    """Calibrate Downpour, the dispatch of units, and the way to the servers.

    Intervals that are left to us are 1 here; what longer ones do follows from that.
    """
    chosen = problem.config.n_push == problem.config.n_fetch == "auto" and (
        longest_interval(problem.config, tables=bool(problem.layout.tables)) > 1
    )
    began, planned = time.monotonic(), problem.config
    # Of workers that we start nobody else waits for his turn.
    apart = UNHINDERED | ({"unit_seconds": None} if cluster.embedded else {})
    problem = replace(problem, config=planned.model_copy(update=apart))
    with opened(problem.with_interval(1), cluster, say, local) as resources:
        embedded = cluster.embedded
        reports = _gather(resources, min(processes, problem.config.n_replicas), seconds, say)
        servers = resources.session.servers
        machines = Machines(
            embedded=embedded,
            workers=len(reports.hosts),
            processes=processes,
            cores=min(each["cores"] for each in reports.hosts),
            servers=len(servers),
            engines=tuple(each.value for each in servers.engines),
            slowdown=_slowdown(reports.alone, reports.together.reports),
            load=max(each["load"] for each in reports.opening),
        )
        work = replace(
            work_of(resources.problem, chosen=chosen),
            max_staleness=planned.max_staleness,
            unit_seconds=planned.unit_time if math.isfinite(planned.unit_time) else None,
            warm_start_steps=planned.warm_start_steps,
        )
    return Calibration(
        work=work,
        machines=machines,
        dispatch=reports.dispatch,
        link=reports.link,
        downpour=_costs(reports, machines),
        sandblaster=None,
        checks=(
            SeenRate("downpour", 1, reports.alone["rate"]),
            *(each.check for each in (reports.together, *reports.crowds)),
        ),
        seconds=time.monotonic() - began,
    )


def _gather(
    resources: TrainingResources, processes: int, seconds: float, say: Callable[[str], None]
) -> _Reports:
    """Have workers measure: one after another what needs quiet, then all at once."""
    asker, servers = Asker(resources), resources.session.servers
    opening = asker.several("nothing", range(processes), 0.0)  # all open the run
    say("calibrating: what a unit costs beside its work")
    dispatch = _dispatch(resources, asker)
    say("calibrating: steps and exchanges of one worker process")
    exchanges = asker.one("exchanges", EXCHANGES * seconds)
    alone = asker.one("steps", ALONE * seconds)
    least, *more = counts(resources.cluster, processes)
    say(f"calibrating: steps of {least} worker processes at once")
    together = steps_at_once(asker, servers, least, TOGETHER * seconds)
    crowds, link = list[AtOnce](), None
    for count in more:
        say(f"calibrating: steps of {count} worker processes at once")
        crowds.append(steps_at_once(asker, servers, count, CROWD * seconds))
    if not resources.cluster.embedded:
        say("calibrating: the links between workers and servers")
        link = _link(asker, LINK * seconds, len({each["worker"] for each in together.reports}))
    return _Reports(opening, dispatch, exchanges, alone, together, crowds, link)


def work_of(problem: Problem, *, chosen: bool) -> PlannedWork:
    """The work of a problem; ``chosen``: its intervals are left to the training."""
    config = problem.config
    return PlannedWork(
        model=config.model,
        data=str(config.data),
        examples=problem.n_train,
        parameters=problem.n_parameters,
        itemsize=config.dtype.itemsize,
        layout=problem.layout.to_json(),
        batch_size=config.batch_size,
        passes=config.n_passes,
        n_push=config.push_interval,
        n_fetch=config.fetch_interval,
        chosen=chosen,
        optimizer=config.optimizer,
        overlap=config.overlap,
        max_staleness=config.max_staleness,
        unit_length=config.unit_length,
        lease_s=config.lease_seconds,
        iterations=config.iterations,
        portions=portions_of(problem),
        slots=0 if problem.layout.tables or config.round_steps else len(shard_rule(config).slots),
    )


def _dispatch(resources: TrainingResources, asker: Asker) -> DispatchCosts:
    meter = ServerMeter(resources.session.control)
    before, cpu, reports, took = meter.read(), time.process_time(), list[Report](), list[float]()
    for _ in range(EMPTY_UNITS):
        began = time.perf_counter()
        reports.append(asker.one("nothing"))
        took.append(time.perf_counter() - began)
    coordinator_s = (time.process_time() - cpu) / EMPTY_UNITS
    control_s = max(0.0, meter.since(before).cpu_s) / EMPTY_UNITS
    main_s = spent_between(reports, "worker", "main_cpu_s")
    process_s = spent_between(reports, "process", "process_cpu_s")
    return DispatchCosts(tuple(took), coordinator_s, control_s, main_s, process_s)


def spent_between(reports: list[Report], whose: str, clock: str) -> float:
    """CPU seconds between two readings of each one's clock, in the mean; 0 if it is not told."""
    readings: dict[str, list[float]] = {}
    for each in reports:
        if each[clock] is not None:
            readings.setdefault(each[whose], []).append(each[clock])
    spent = sum(max(own) - min(own) for own in readings.values())
    return spent / max(1, sum(len(own) - 1 for own in readings.values()))


def _link(asker: Asker, seconds: float, hosts: int) -> Link:
    """One worker alone; then as many as there are hosts, at one server, which may limit them."""
    alone = asker.one("link", seconds / 2)
    at_one = asker.several("link", range(hosts), seconds / 2, server=0) if hosts > 1 else []
    return Link(
        up=tuple(alone["up"]),
        down=tuple(alone["down"]),
        round_trip_s=tuple(alone["round_trip_s"]),
        burst=tuple(alone["burst"]),
        at_one=tuple(statistics.median(each["up"]) for each in at_one),
    )


def _slowdown(alone: Report, together: list[Report]) -> float:
    """How many times the CPU seconds of a step grow when everybody computes.

    Cores that share a cache, or are two halves of one, are slower together.
    """
    one = statistics.median(alone["step_cpu_s"])
    all_of_them = statistics.median([each for t in together for each in t["step_cpu_s"]])
    ratio = all_of_them / one if one > 0 and len(together) > 1 else 1.0
    return min(MOST_SLOWDOWN, max(LEAST_SLOWDOWN, ratio))


def _costs(reports: _Reports, machines: Machines) -> DownpourCosts:
    exchanges, alone = reports.exchanges, reports.alone
    small = SmallExchanges.of(exchanges)
    by_window = "both" not in exchanges
    push, fetch = (fit_exchange(Measured.of(exchanges[n]), small) for n in ("push", "fetch"))
    both = push if by_window else fit_exchange(Measured.of(exchanges["both"]), small)
    quiet = Measured.of(exchanges["push" if by_window else "both"])
    # Servers with more to do spend less on each call; busy cores make each second shorter.
    speed = machines.slowdown if machines.embedded else 1.0
    served = reports.together.push_s / speed
    if by_window:
        served *= quiet.middle("server") / (
            quiet.middle("server") + Measured.of(exchanges["fetch"]).middle("server")
        )
    under_load = served / quiet.middle("server") if quiet.middle("server") > 0 else 1.0
    client = statistics.median(alone["push"]["cpu_s"]) / max(1e-9, quiet.middle("client"))

    def loaded(cost: ExchangeCost) -> ExchangeCost:
        return replace(
            cost, client=cost.client.scaled(client), server=cost.server.scaled(under_load)
        )

    return DownpourCosts(
        steps=_steps(alone, reports.together.reports, machines.slowdown),
        alone=tuple(exchanges["step"]["cpu_s"]),
        both=loaded(both),
        push=loaded(push),
        fetch=loaded(fetch),
        by_window=by_window,
        crowds=crowds_of(
            {len(each.reports): each.step_s for each in (reports.together, *reports.crowds)}
        ),
    )


def _steps(alone: Report, together: list[Report], slowdown: float) -> tuple[Samples, ...]:
    """A series for each process, in CPU seconds of a machine with nothing else to do.

    Hosts that differ stay apart; one host's processes are alike.
    """
    if len({each["worker"] for each in together}) == 1:
        return (tuple(alone["step_cpu_s"]),)
    return tuple(tuple(s / slowdown for s in each["step_cpu_s"]) for each in together)
