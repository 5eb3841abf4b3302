"""Calibration of Sandblaster: some real iterations, then portions of one process alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from distbelief.app.layout.keys import named
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.calibration import SandblasterCosts, SeenRate
from distbelief.coordinator.planning.costs import ExchangeCost, LineCost, Measured, spread_of
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.sandblaster.driver import Sandblaster
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.resources import TrainingResources
from distbelief.worker_tasks.server_meter import ServerMeter, Spent

#: Shares of the time.
ITERATIONS, PORTIONS = 0.6, 0.4

#: Clocks before the first iteration, after it, and after another: two differ by one at least.
LEAST_SEEN = 3

#: An evaluation that no minimisation comes to, and the sum of its portions.
EVALUATION, SUM = 1 << 30, named("trial")


@dataclass(frozen=True)
class _Seen:
    """Clocks when an iteration was committed, and how many evaluations there had been."""

    at: float
    evaluations: int
    coordinator_s: float
    control: Spent
    servers: Spent


def measure_sandblaster(
    resources: TrainingResources, asker: Asker, processes: int, seconds: float
) -> tuple[SandblasterCosts, SeenRate]:
    """The costs, and the evaluations a second that the iterations really made."""
    problem = resources.problem
    n_portions = portions_of(problem)
    before = _main_clocks(asker, processes)
    seen, total = _iterations(resources, ITERATIONS * seconds)
    after = _main_clocks(asker, processes)
    main_s = sum(spent - before.get(worker, spent) for worker, spent in after.items())
    added = _portions(resources, asker, PORTIONS * seconds)
    first, last = seen[1], seen[-1]
    evaluations = last.evaluations - first.evaluations
    portions = evaluations * n_portions
    add, fetch = _exchange(added["accumulate"]), _exchange(added["fetch"])
    layout = problem.layout
    size = layout.n_servers, layout.n_shards, layout.size
    explained_s = n_portions * add.server.at(*size)
    explained_s += min(processes, n_portions) * fetch.server.at(*size)
    servers_s = (last.servers - first.servers).cpu_s / evaluations
    costs = SandblasterCosts(
        portions=(tuple(added["compute"]["cpu_s"]),),
        add=add,
        fetch=fetch,
        coordinator_s=(last.coordinator_s - first.coordinator_s) / portions,
        control_s=max(0.0, (last.control - first.control).cpu_s) / portions,
        main_s=main_s / (total * n_portions),
        vectors_s=max(0.0, servers_s - explained_s),
        layout=layout.to_json(),
    )
    return costs, SeenRate("sandblaster", processes, evaluations / (last.at - first.at))


def _portions(resources: TrainingResources, asker: Asker, seconds: float) -> Report:
    session, problem = resources.session, resources.problem
    run, layout, dtype = session.record.run, problem.layout, problem.config.dtype
    store = RedisVectorStore(session.servers, run, layout, dtype, fence=session.fence)
    store.accept(store.shard_states())
    store.begin(EVALUATION, SUM)
    words = {"portions": portions_of(problem), "evaluation": EVALUATION, "sum": SUM}
    return asker.one("portions", seconds, **words)


def _exchange(report: Report) -> ExchangeCost:
    """One layout was measured: all of it goes with the numbers."""
    measured = Measured.of(report)
    client, server, up, down = (
        LineCost(0.0, 0.0, 0.0, measured.middle(name) / measured.numbers, spread_of(series))
        for name, series in measured.series.items()
    )
    return ExchangeCost(client, server, up, down)


def _iterations(resources: TrainingResources, seconds: float) -> tuple[list[_Seen], int]:
    """Clocks before a minimisation and after each of its iterations; its evaluations.

    It goes on for so many seconds, and for the two iterations that tell what one takes.
    """
    session, hooks = resources.session, resources.hooks
    control, servers = ServerMeter(session.control), ServerMeter(session.servers)
    seen, deadline = list[_Seen](), time.monotonic() + seconds

    def look(evaluations: int) -> None:
        clocks = time.monotonic(), evaluations, time.process_time()
        seen.append(_Seen(*clocks, control.read(), servers.read()))

    def hear(event: Event) -> None:
        if event.kind == "iteration":
            look(seen[-1].evaluations + event.fields["evaluations"])

    def enough() -> bool:
        over = len(seen) >= LEAST_SEEN and time.monotonic() > deadline
        return over or hooks.should_stop()

    driver = Sandblaster.on_servers(
        session, replace(resources.problem, n_heldout=0), replace(hooks, should_stop=enough)
    )
    look(0)
    session.listeners.append(hear)
    driver.run()
    return seen, seen[-1].evaluations


def _main_clocks(asker: Asker, processes: int) -> dict[str, float]:
    reports = asker.several("nothing", range(processes), 0.0)
    return {each["worker"]: each["main_cpu_s"] or 0.0 for each in reports}
