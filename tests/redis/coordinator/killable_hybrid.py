"""A real hybrid driver on real servers, whose coordinator may die at any step it takes.

Its workers are this process: they compute when the coordinator looks for reports, and do not die.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.split.partition import portion
from distbelief.app.errors import DataLost, ShardBehind
from distbelief.app.layout import keys
from distbelief.app.layout.keys import named
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.runs import leadership
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.hybrid.driver import Hybrid
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.status import Tally
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.dispatch import Dispatcher
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import driver as sandblaster
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.driver import Sandblaster
from distbelief.worker_tasks.portion import compute
from tests.redis.coordinator.killable_driver import KillableServers, Killed, Life, going_back
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


def objective(problem: Problem, point: Vector, gradient: Vector | None = None) -> float:
    """What both stages minimise, computed at once."""
    config, train = problem.config, problem.data.train
    share = compute(
        problem.model,
        problem.dataset,
        portion(train, 0, 1),
        point,
        n_examples=len(train),
        penalty=problem.layout.penalty(config.l2 or 0.0, config.dtype),
    )
    if gradient is not None:
        gradient[:] = share.gradient
    return share.loss


class LocalBatch:
    """A batch of one portion, which the coordinator computes itself."""

    n_portions, n_done, n_live, workers, quantum = 1, 0, 1, 1, 0.0
    slowest = None

    def __init__(self, problem: Problem, session: Session, store: VectorStore, turn: Any) -> None:
        self._problem = problem
        self._session = session
        self._store = store
        self._turn = turn
        self.number = 0
        self.tally = Tally()
        self.outstanding: dict[int, float] = {}

    def to_json(self) -> dict[str, Any]:
        return {"evaluation": self.number}

    def load_state(self, document: Mapping[str, Any]) -> None:
        self.number = document["evaluation"]

    def check_stall(self) -> None: ...

    def evaluate(self, request: Evaluate) -> float:
        self.number += 1
        gradient = named(request.gradient)
        point = self._store.fetch(named(request.point)).vector
        values = point.copy()
        loss = objective(self._problem, point, values)
        self._store.begin(self.number, gradient)
        added = self._store.accumulate(self._session.fence, self.number, gradient, 0, values)
        assert set(added) == {Counted.COUNTED}
        self._turn()
        if set(self._store.counted(self.number)) != {1}:
            raise ShardBehind("a shard lacks the portion")
        return loss


class KillableLeader(Leader):
    """Leadership of a run; a commit is a step, too."""

    def __init__(self, control: Servers, run: str, life: Life) -> None:
        super().__init__(control, run, 10.0)
        self.life = life

    def commit(self, state: Mapping[str, Any]) -> None:
        if self.life.ends():
            raise Killed
        super().commit(state)


@dataclass
class LocalSession(Session):
    """A session whose units are done in this process, by workers with servers of their own."""

    problem: Problem
    workers: Servers
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def tell(self, kind: str, **fields: Any) -> None:
        step = cast("KillableLeader", self.leader).life.steps
        self.events.append((kind, fields | {"at_step": step}))

    def _new_dispatcher(self, resent: int) -> Dispatcher:
        rule, config, layout = build_rule(self.config), self.config, self.record.layout
        store = RedisParameterStore(
            self.workers, self.record.run, layout, rule, config.dtype, fence=self.fence
        )
        desk = Desk(self.problem, cast("Any", store))
        desk.begin_anew(self.fence, resent)
        return cast("Dispatcher", desk)


@dataclass(frozen=True)
class Lived:
    """What a coordinator did that lived: the steps it took, what it said, and the result.

    ``handover`` is what was told of the last hand-over and its step, None if another coordinator
    made it; ``first`` the loss of the first evaluation of L-BFGS.
    """

    steps: int
    said: list[str]
    parameters: Vector
    handover: dict[str, Any] | None
    first: float | None
    summary: list[str]


class KillableHybrid:
    """The servers, and the runs of a test on them."""

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        new_run: Callable[[], str],
        patch: pytest.MonkeyPatch,
    ) -> None:
        patch.setenv("DISTBELIEF_CACHE", str(folder / "cache"))
        self.problem = prepare(RunConfig(**SETTINGS), 2)
        self.servers = KillableServers(cluster.endpoints.parameter_servers)
        self.workers = Servers(cluster.endpoints.parameter_servers)
        self.control = Servers([cluster.endpoints.broker])
        self._folder = folder
        self._new_run = new_run
        patch.setattr(
            sandblaster,
            "BatchEvaluator",
            lambda session, store, n, workers, turn: LocalBatch(self.problem, session, store, turn),
        )
        self.begin()

    def begin(self) -> None:
        """From now on it is about another run."""
        self.run = self._new_run()
        self.folder = self._folder / self.run

    def live(
        self,
        last: float = math.inf,
        after: Callable[[Hybrid, Checkpoints], None] = lambda driver, checkpoints: None,
    ) -> Lived:
        """Coordinate the run from where it stands to its end.

        ``after`` each look around something may happen.
        """
        self.servers.life = Life()  # that of others is over
        life, problem = Life(last), self.problem
        leader = KillableLeader(self.control, self.run, life)
        checkpoints = Checkpoints(self.folder, math.inf, 3, pytest.fail)
        data = problem.dataset
        addresses = tuple(self.servers.addresses)
        record = RunRecord(
            self.run, problem.config, problem.layout, addresses, data.fingerprint, data.schema
        )
        nobody = cast("Any", None)
        session = LocalSession(
            record, self.control, self.servers, nobody, leader, problem, self.workers
        )
        try:
            fence = session.highest_fence() + 1
            session.take(least_fence=fence, take_over=True, say=lambda text: None)
            hooks = DriverHooks(
                lambda status: after(driver, checkpoints), leader.check, lambda: False, checkpoints
            )
            driver = self._driver(session, hooks)
            begun, said = bool(self.folder.exists()), list[str]()
            if not begun:
                driver.create()
                checkpoints.write(session.fence, driver.capture)
            self.servers.life = life
            if begun:
                if document := leadership.committed(self.control, self.run):
                    driver.load_state(document)
                said += driver.restore(checkpoints.latest)
            while True:
                try:
                    assert driver.run() is EndReason.GRADIENT
                    summary, final = driver.summary(), driver.finish(resumable=False)
                    break
                except DataLost:
                    session.renew()
                    said += driver.restore(checkpoints.latest)
            told = dict(session.events)
            said += [each["what"] for kind, each in session.events if kind == "restored"]
            return Lived(
                life.steps,
                said,
                final.parameters,
                told.get("handover"),
                next((each["loss"] for kind, each in session.events if kind == "iteration"), None),
                summary,
            )
        finally:
            self.servers.life = Life()
            checkpoints.close()
            leader.stop()

    def _driver(self, session: Session, hooks: DriverHooks) -> Hybrid:
        config, layout = self.problem.config, self.problem.layout

        def downpour() -> Downpour:
            rule = build_rule(config)
            store = RedisParameterStore(
                self.servers, self.run, layout, rule, config.dtype, fence=session.fence
            )
            return Downpour(session, self.problem, hooks, store)

        def minimising() -> Sandblaster:
            store = RedisVectorStore(
                self.servers, self.run, layout, config.dtype, fence=session.fence
            )
            return Sandblaster(session, self.problem, hooks, store, workers=1)

        return Hybrid(session, hooks, downpour, minimising)

    def goes_back(self, at: int, by: int) -> Callable[[int], None]:
        """Shard 1 goes back, before the coordinator's step ``at``, to what it was ``by`` before."""
        return going_back(self.servers, self.run, self.problem.layout, at, by)

    def leftovers(self) -> list[bytes]:
        """The names of the run's keys on the parameter servers, parameters and meta aside."""
        found = []
        for server in range(len(self.workers)):
            found += self.workers.one(
                "KEYS", keys.shard(self.run, cast("int", "*"), "*"), server=server
            )
        return [key for key in found if not key.endswith((b":meta", b":params"))]

    def lose_shard(self, shard: int = 1) -> None:
        """A server loses all that it has of a shard."""
        server = self.problem.layout.server(shard)
        pattern = keys.shard(self.run, shard, "*")
        self.workers.one("UNLINK", *self.workers.one("KEYS", pattern, server=server), server=server)

    def close(self) -> None:
        for each in (self.servers, self.workers, self.control):
            each.close()
