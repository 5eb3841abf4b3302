"""A real hybrid driver on real servers, whose coordinator may die at any step it takes.

Its workers are this process: they compute when the coordinator looks for reports, and do not die.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.split.partition import portion
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.hybrid.driver import Hybrid
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs.dispatch import Dispatcher
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import driver as sandblaster
from distbelief.worker_tasks.portion import compute
from tests.redis.coordinator.killable_run import KillableRun, KillableSession, LocalBatch
from tests.unit.coordinator.downpour.test_driver import Desk

#: One replica, which overlaps nothing, gives the same numbers each time; a unit is a pass.
SETTINGS: dict[str, Any] = {
    "algorithm": "hybrid",
    "data": "synthetic:softmax",
    "data_options": {"examples": 60, "features": 4, "classes": 3},
    "model": "softmax",
    "l2": 0.1,
    "learning_rate": 0.2,
    "replicas": 1,
    "overlap": False,
    "n_push": 1,
    "n_fetch": 1,
    "batch_size": 24,
    "passes": 8,
    "evaluate_every": 3.0,
    "history": 3,
    "portions": 1,
    "gradient_tolerance": 1e-4,
    "handover_decrease": 0.1,
    "shards": 3,
    "block_numbers": 4,
}


def objective(problem: Problem, point: Vector) -> tuple[float, Vector]:
    """What both stages minimise, and its gradient, computed at once."""
    config, train = problem.config, problem.data.train
    share = compute(
        problem.model,
        problem.dataset,
        portion(train, 0, 1),
        point,
        n_examples=len(train),
        penalty=problem.layout.penalty(config.l2 or 0.0, config.dtype),
    )
    return share.loss, share.gradient


@dataclass
class LocalSession(KillableSession):
    """A session whose units are done in this process, by workers with servers of their own."""

    problem: Problem
    workers: Servers

    def _new_dispatcher(self, resent: int) -> Dispatcher:
        rule, config, layout = build_rule(self.config), self.config, self.record.layout
        store = RedisParameterStore(
            self.workers, self.record.run, layout, rule, config.dtype, fence=self.fence
        )
        desk = Desk(self.problem, cast("Any", store))
        desk.begin_anew(self.fence, resent)
        return cast("Dispatcher", desk)


class KillableHybrid(KillableRun[Hybrid]):
    """Runs of both stages."""

    reason = EndReason.GRADIENT

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        new_run: Callable[[], str],
        patch: pytest.MonkeyPatch,
    ) -> None:
        patch.setenv("DISTBELIEF_CACHE", str(folder / "cache"))
        problem = prepare(RunConfig(**SETTINGS), 2)
        batch = partial(LocalBatch, partial(objective, problem))
        patch.setattr(sandblaster, "BatchEvaluator", batch)
        data = problem.dataset
        record = RunRecord("", problem.config, problem.layout, (), data.fingerprint, data.schema)
        super().__init__(cluster, folder, new_run, problem, record)

    def session(self, leader: Leader) -> KillableSession:
        of_all = super().session(leader)
        return LocalSession(
            of_all.record,
            self.control,
            self.servers,
            of_all.messages,
            leader,
            self.problem,
            self.plain,
        )

    def driver(self, session: Session, hooks: DriverHooks) -> Hybrid:
        config, layout = self.problem.config, self.problem.layout

        def downpour() -> Downpour:
            rule = build_rule(config)
            store = RedisParameterStore(
                self.servers, self.run, layout, rule, config.dtype, fence=session.fence
            )
            return Downpour(session, self.problem, hooks, store)

        return Hybrid(session, hooks, downpour, lambda: self.minimising(session, hooks))
