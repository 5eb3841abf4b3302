"""Calibration of Sandblaster: some real iterations, and portions of one process and of several."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from distbelief.app.layout.keys import named
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.calibration import SandblasterCosts, SeenRate
from distbelief.coordinator.planning.costs import (
    Measured,
    SmallExchanges,
    fit_exchange,
)
from distbelief.coordinator.planning.crowding import MOST_SLOWDOWN, crowds_of
from distbelief.coordinator.planning.portion_parts import Apart, IterationCosts, parts_of, totals
from distbelief.coordinator.planning.real_iterations import iterations, vector_store
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.resources import TrainingResources

#: Shares of the time: iterations of one process, and of each number of several; portions of one,
#: and of as many at once as cores.
ITERATIONS, PORTIONS, AT_ONCE = 0.18, 0.2, 0.08

#: An evaluation that no minimisation comes to, and the sum of its portions.
EVALUATION, SUM = 1 << 30, named("trial")


def measure_sandblaster(
    resources: TrainingResources,
    asker: Asker,
    processes: int,
    at_once: Sequence[int],
    seconds: float,
) -> tuple[SandblasterCosts, list[SeenRate]]:
    """The costs, and the evaluations a second that the iterations really made.

    ``at_once`` are the numbers of ``processes`` that are to work at once.
    """
    problem = resources.problem
    n_portions, layout = portions_of(problem), problem.layout
    seen, rates = dict[int, IterationCosts](), list[SeenRate]()
    # All compute before anybody is measured: what a process does for the first time costs more.
    iterations(resources, asker, processes, max(at_once), 0.0)
    for count in sorted({1, *at_once} if asker.may_hold else at_once):
        resources.session.renew()  # or late portions of the ones before would be counted
        seen[count], rate = iterations(resources, asker, processes, count, ITERATIONS * seconds)
        rates.append(SeenRate("sandblaster", count, rate))
    (added,) = _portions(resources, asker, 0, range(1), PORTIONS * seconds, whole=True)
    together = _portions(resources, asker, 1, range(at_once[0]), AT_ONCE * seconds)
    slowdown = _computing_s(together) / _computing_s([added]) if at_once[0] > 1 else 1.0
    slowdown = min(MOST_SLOWDOWN, max(1.0, slowdown))
    apart = _apart(added, (layout.n_servers, layout.n_shards, layout.size))
    fewest, here = min(seen), resources.cluster.embedded
    working = min(fewest, n_portions)
    parts = parts_of(apart, seen[fewest], n_portions, working, slowdown if here else 1.0)
    spent = totals({count: seen[count] for count in at_once}, n_portions)
    costs = SandblasterCosts(
        portions=(parts.portions,),
        add=parts.add,
        fetch=apart.fetch,
        coordinator_s=parts.coordinator_s,
        control_s=parts.control_s,
        main_s=parts.main_s,
        vectors_s=parts.vectors_s,
        layout=layout.to_json(),
        slowdown=slowdown,
        crowds=crowds_of(spent) if spent else (),
        process_s=parts.process_s,
    )
    return costs, rates


def _apart(added: Report, size: tuple[int, int, int]) -> Apart:
    small = SmallExchanges.of(added)
    add, fetch = (fit_exchange(Measured.of(added[name]), small) for name in ("accumulate", "fetch"))
    return Apart(tuple(added["compute"]["cpu_s"]), add, fetch, size)


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
    problem, store = resources.problem, vector_store(resources)
    store.accept(store.shard_states())
    store.begin(EVALUATION + number, SUM)
    words = {"portions": portions_of(problem), "evaluation": EVALUATION + number, "sum": SUM}
    return asker.several("portions", subsets, seconds, whole=whole, **words)


def _computing_s(reports: Sequence[Report]) -> float:
    """CPU seconds of computing a portion."""
    took = [float(each) for report in reports for each in report["compute"]["cpu_s"]]
    return statistics.median(took)
