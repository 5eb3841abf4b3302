"""Real iterations of a minimisation that is measured: what they cost, and how fast they were."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from distbelief.app.errors import CheckpointError
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.runs import leadership
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.portion_parts import IterationCosts
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.sandblaster.driver import Sandblaster
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.resources import TrainingResources
from distbelief.worker_tasks.server_meter import ServerMeter, Spent

#: Clocks before the first iteration, after it, and after another: two differ by one at least.
LEAST_SEEN = 3

#: Workers are asked after the first iteration, and after the last.
BOTH_ENDS = 2

#: A report of each worker.
_Workers = dict[str, Report]


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


def iterations(
    resources: TrainingResources,
    asker: Asker,
    processes: int,
    working: int,
    seconds: float,
) -> tuple[IterationCosts, float]:
    """Minimise with so many of the processes: what it cost, and the evaluations a second.

    The others do nothing meanwhile, and nobody opens the run then: all have done so before.
    """
    if asker.may_hold:
        with asker.idling(processes):
            pass
    with asker.idling(processes - working):
        seen, before, after = _minimised(resources, asker, working, seconds)
    portions = seen.evaluations * portions_of(resources.problem)
    main_s = _spent("main_cpu_s", before, after)
    process_s = _spent("pool_cpu_s", before, after)
    return IterationCosts(
        coordinator_s=seen.coordinator_s / portions,
        control_s=max(0.0, seen.control.cpu_s) / portions,
        main_s=(main_s or 0.0) / portions,
        process_s=None if process_s is None else process_s / portions,
        servers_s=max(0.0, seen.servers.cpu_s) / seen.evaluations,
    ), seen.evaluations / seen.at


def _spent(clock: str, before: _Workers, after: _Workers) -> float | None:
    """CPU seconds of the workers by one of their clocks; None if one does not tell it."""
    readings = [(before[name][clock], after[name][clock]) for name in before if name in after]
    if len(readings) < max(1, len(before)) or any(None in each for each in readings):
        return None
    return float(sum(later - earlier for earlier, later in readings))


def _minimised(
    resources: TrainingResources, asker: Asker, working: int, seconds: float
) -> tuple[_Seen, _Workers, _Workers]:
    """What was spent from the first iteration of a minimisation to the last, and what workers had
    spent at both ends, when no portion was out and all that is done once had been done.

    It goes on for so many seconds, and for the two iterations that tell what one takes.
    """
    session, hooks = resources.session, resources.hooks
    control, servers = ServerMeter(session.control), ServerMeter(session.servers)
    seen, workers = list[_Seen](), list[_Workers]()
    deadline = time.monotonic() + seconds

    def ask() -> None:
        reports = asker.several("nothing", range(working), 0.0)
        workers.append({each["worker"]: each for each in reports})

    def look(evaluations: int) -> None:
        clocks = time.monotonic(), evaluations, time.process_time()
        seen.append(_Seen(*clocks, control.read(), servers.read()))

    def hear(event: Event) -> None:
        if event.kind != "iteration" or len(workers) == BOTH_ENDS:
            return
        if not workers:
            ask()
        look(seen[-1].evaluations + event.fields["evaluations"])
        if len(seen) >= LEAST_SEEN and time.monotonic() > deadline:
            ask()

    def enough() -> bool:
        return len(workers) == BOTH_ENDS or hooks.should_stop()

    problem = replace(resources.problem, n_heldout=0)
    own = replace(hooks, should_stop=enough)
    driver = Sandblaster(session, problem, own, vector_store(resources), working)
    _begin_anew(resources, driver)
    look(0)
    session.listeners.append(hear)
    driver.run()
    session.listeners.remove(hear)
    first, last = workers[0], workers[-1]
    return seen[-1] - seen[1], first, last


def vector_store(resources: TrainingResources) -> RedisVectorStore:
    """The vectors of the run that is measured."""
    session, problem = resources.session, resources.problem
    run, layout, dtype = session.record.run, problem.layout, problem.config.dtype
    return RedisVectorStore(session.servers, run, layout, dtype, fence=session.fence)


def _begin_anew(resources: TrainingResources, driver: Sandblaster) -> None:
    """Begin where the run began; evaluations are numbered on from those that were made before."""
    session = resources.session
    committed = leadership.committed(session.control, session.record.run)
    if committed is not None and "state" in committed:
        driver.load_state({**committed, "state": None})
        driver.restore(_no_checkpoint, lambda _: None)


def _no_checkpoint() -> Checkpoint:
    raise CheckpointError("a server lost what was calibrated: plan again")
