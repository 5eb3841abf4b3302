"""A real Sandblaster driver on real servers, whose coordinator may die at any step it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.keys import named
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.metric import Metric
from distbelief.app.runs import leadership
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.initial_values import InitialValues
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import driver as sandblaster
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.redis.coordinator.killable_run import KillableRun, LocalBatch
from tests.unit.coordinator.sandblaster.problems import rosenbrock

ITERATIONS = 5
START = np.zeros(10)
#: Ten numbers in five blocks; shards of two blocks, two and one, on two servers.
LAYOUT = Layout((TensorSpec("w", (10,)),), 2, n_shards=3, n_servers=2)
CONFIG = RunConfig(
    algorithm="sandblaster",
    iterations=ITERATIONS,
    portions=1,
    history=2,
    gradient_tolerance=0.0,
    decrease_tolerance=0.0,
)
#: The driver asks no data, and the model only for its task, when nothing is held out.
VALUES = InitialValues(START, {}, {})
MODEL = SoftmaxRegression(1, 2)
SCORES = ScoreFormatter(MODEL.task, Metric.ACCURACY)
PROBLEM = Problem(CONFIG, cast("Any", None), MODEL, LAYOUT, 1, 0, VALUES, SCORES)

Losses = dict[int, float]


def objective(point: Vector) -> tuple[float, Vector]:
    return rosenbrock(np.asarray(point, np.float64))


class KillableSandblaster(KillableRun[Sandblaster]):
    """Runs whose objective has an L1 term or not; ``losses`` are those that were committed."""

    reason = EndReason.ITERATIONS

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        new_run: Callable[[], str],
        patch: pytest.MonkeyPatch,
        l1: float = 0.0,
    ) -> None:
        self.config = CONFIG.model_copy(update={"l1": l1})
        patch.setattr(sandblaster, "BatchEvaluator", partial(LocalBatch, objective))
        record = RunRecord("", self.config, LAYOUT, (), "", Schema(1))
        super().__init__(cluster, folder, new_run, replace(PROBLEM, config=self.config), record)

    def begin(self) -> None:
        super().begin()
        self.losses = Losses()

    def driver(self, session: Session, hooks: DriverHooks) -> Sandblaster:
        return self.minimising(session, hooks)

    def note(self, state: Mapping[str, Any]) -> None:
        if state["state"] is None:  # it begins again
            return
        iteration, loss = state["state"]["iteration"], state["state"]["loss"]
        # An iteration that is made again is the same one.
        assert self.losses.setdefault(iteration, loss) == loss

    def lose_some(self, what: str) -> None:
        """Have a shard lose the newest gradient, or all that it has."""
        document = leadership.committed(self.control, self.run)
        assert document is not None
        self.lose(*[named(document["state"]["gradient"])] * (what == "a vector in force"))
