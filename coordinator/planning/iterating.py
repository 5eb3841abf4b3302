"""Calibration of Sandblaster: some real iterations, and portions of one process and of several."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distbelief.app.errors import CheckpointError
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import named
from distbelief.app.runs import leadership
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.calibration import SandblasterCosts, SeenRate
from distbelief.coordinator.planning.costs import (
    Measured,
    SmallExchanges,
    fit_exchange,
)
from distbelief.coordinator.planning.crowding import MOST_SLOWDOWN, crowds_of
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.sandblaster.driver import Sandblaster
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.resources import TrainingResources
from distbelief.worker_tasks.server_meter import ServerMeter, Spent

#: Shares of the time: iterations of one process, and of each number of several; portions of one,
#: and of each number of several.
ITERATIONS, PORTIONS, AT_ONCE = 0.15, 0.2, 0.07

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

    def __sub__(self, other: _Seen) -> _Seen:
        return _Seen(
            self.at - other.at,
            self.evaluations - other.evaluations,
            self.coordinator_s - other.coordinator_s,
            self.control - other.control,
            self.servers - other.servers,
        )


def measure_sandblaster(
    resources: TrainingResources,
    asker: Asker,
    processes: int,
    at_once: Sequence[int],
    seconds: float,
) -> tuple[SandblasterCosts, list[SeenRate]]:
    """The costs, and the evaluations a second that the iterations really made.

    ``at_once`` are the numbers of ``processes`` that are to compute portions at once.
    """
    problem = resources.problem
    n_portions = portions_of(problem)
    before, total = _main_clocks(asker, processes), 0
    seen = dict[int, _Seen]()
    for count in sorted({1, *at_once} if asker.may_hold else at_once):
        if seen:  # or late portions of the ones before would be counted
            resources.session.renew()
        with asker.idling(processes - count):
            seen[count], evaluations = _iterations(resources, count, ITERATIONS * seconds)
        total += evaluations
    after = _main_clocks(asker, processes)
    main_s = sum(spent - before.get(worker, spent) for worker, spent in after.items())
    (added,) = _portions(resources, asker, 0, range(1), PORTIONS * seconds, whole=True)
    crowd = {
        count: _computing_s(_portions(resources, asker, number, range(count), AT_ONCE * seconds))
        for number, count in enumerate(at_once, 1)
    }
    small = SmallExchanges.of(added)
    add, fetch = (fit_exchange(Measured.of(added[name]), small) for name in ("accumulate", "fetch"))
    quiet = seen[at_once[0]]
    portions, layout = quiet.evaluations * n_portions, problem.layout
    size = layout.n_servers, layout.n_shards, layout.size
    explained_s = n_portions * add.server.at(*size)
    explained_s += min(at_once[0], n_portions) * fetch.server.at(*size)
    slowdown = crowd[at_once[0]] / _computing_s([added]) if at_once[0] > 1 else 1.0
    costs = SandblasterCosts(
        portions=(tuple(added["compute"]["cpu_s"]),),
        add=add,
        fetch=fetch,
        coordinator_s=quiet.coordinator_s / portions,
        control_s=max(0.0, quiet.control.cpu_s) / portions,
        main_s=main_s / (total * n_portions),
        vectors_s=max(0.0, quiet.servers.cpu_s / quiet.evaluations - explained_s),
        layout=layout.to_json(),
        slowdown=min(MOST_SLOWDOWN, max(1.0, slowdown)),
        crowds=crowds_of(crowd),
    )
    checks = [
        SeenRate("sandblaster", count, each.evaluations / each.at) for count, each in seen.items()
    ]
    return costs, checks


def _portions(
    resources: TrainingResources,
    asker: Asker,
    number: int,
    subsets: Sequence[int],
    seconds: float,
    *,
    whole: bool = False,
) -> list[Report]:
    """What portions cost processes at once, in an evaluation of the ``number``; if ``whole``, what
    servers and calls cost, too.
    """
    problem, store = resources.problem, _store(resources)
    store.accept(store.shard_states())
    store.begin(EVALUATION + number, SUM)
    words = {"portions": portions_of(problem), "evaluation": EVALUATION + number, "sum": SUM}
    return asker.several("portions", subsets, seconds, whole=whole, **words)


def _store(resources: TrainingResources) -> RedisVectorStore:
    session, problem = resources.session, resources.problem
    run, layout, dtype = session.record.run, problem.layout, problem.config.dtype
    return RedisVectorStore(session.servers, run, layout, dtype, fence=session.fence)


def _computing_s(reports: Sequence[Report]) -> float:
    """CPU seconds of computing a portion."""
    took = [float(each) for report in reports for each in report["compute"]["cpu_s"]]
    return statistics.median(took)


def _iterations(resources: TrainingResources, workers: int, seconds: float) -> tuple[_Seen, int]:
    """What was spent from the first iteration of a minimisation to the last; its evaluations.

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

    problem = replace(resources.problem, n_heldout=0)
    own = replace(hooks, should_stop=enough)
    driver = Sandblaster(session, problem, own, _store(resources), workers)
    _begin_anew(resources, driver)
    look(0)
    session.listeners.append(hear)
    driver.run()
    session.listeners.remove(hear)
    return seen[-1] - seen[1], seen[-1].evaluations


def _begin_anew(resources: TrainingResources, driver: Sandblaster) -> None:
    """Begin where the run began; evaluations are numbered on from those that were made before."""
    session = resources.session
    committed = leadership.committed(session.control, session.record.run)
    if committed is not None and "state" in committed:
        driver.load_state({**committed, "state": None})
        driver.restore(_no_checkpoint, lambda _: None)


def _no_checkpoint() -> Checkpoint:
    raise CheckpointError("a server lost what was calibrated: plan again")


def _main_clocks(asker: Asker, processes: int) -> dict[str, float]:
    reports = asker.several("nothing", range(processes), 0.0)
    return {each["worker"]: each["main_cpu_s"] or 0.0 for each in reports}
