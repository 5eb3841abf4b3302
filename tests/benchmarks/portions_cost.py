"""What a portion costs beside its computation: ``python tests/benchmarks/portions_cost.py``.

An embedded cluster with two worker processes and two parameter servers sums batches of
1,000 portions of a softmax regression with 21 parameters, so that next to nothing is left
to compute. Prints milliseconds for each portion, from the beginning of an evaluation to
its last report: dispatch, broker, task, push to the shards, report. Of five batches the
first, in which each process opens the run, is left out.
"""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import closing
from pathlib import Path

from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.runs.ids import new_run_id
from distbelief.coordinator.runs.session import open_session
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.portion_count import Cut

PORTIONS = 1000
BATCHES = 5
PROCESSES = 2
CONFIG = RunConfig(
    algorithm="sandblaster",
    model="softmax",
    data="synthetic:softmax",
    data_options={"examples": 2 * PORTIONS, "features": 6, "classes": 3},
    portions=PORTIONS,
)


def main() -> None:
    problem = prepare(CONFIG, n_servers=2)
    folder = Path(tempfile.mkdtemp())
    with (
        LocalCluster(servers=2, processes=PROCESSES, folder=folder, wait_s=10) as cluster,
        closing(open_session(new_run_id(), problem, ClusterConfig(), cluster.endpoints)) as session,
    ):
        preflight.wait_for_workers(session.messages, {"sandblaster"}, 30.0)
        session.take(say=print)
        run, fence = session.record.run, session.fence
        store = RedisVectorStore(session.servers, run, problem.layout, fence=fence)
        store.create(problem.initial_values.parameters)
        store.copy(PARAMETERS, named("x"))
        cut = Cut(PORTIONS, PORTIONS, math.inf)
        batch = BatchEvaluator(session, store, cut, PROCESSES, cluster.check)
        for number in range(BATCHES):
            portions, began = batch.tally.portions, time.perf_counter()
            batch.evaluate(Evaluate("x", "g"))
            seconds = time.perf_counter() - began
            if number:
                done = batch.tally.portions - portions
                print(f"{1e3 * seconds / done:.2f} ms a portion, {done / seconds:.0f} portions/s")


if __name__ == "__main__":
    main()
