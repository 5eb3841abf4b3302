"""A real Sandblaster driver on real servers, whose coordinator may die at any step it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataLost, ShardBehind
from distbelief.app.layout import keys
from distbelief.app.layout.keys import named
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.criterion import Metric
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.runs import leadership
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.initial_values import InitialValues
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import Tally
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.redis.client.dumps import Dump, dumped, put_back
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


class Killed(BaseException):
    """What no driver can catch."""


@dataclass
class Life:
    """Steps that a coordinator has taken, and its last one."""

    last: float = math.inf
    steps: int = 0

    def ends(self) -> bool:
        self.steps += 1
        return self.steps == self.last


class KillableServers(Servers):
    """Parameter servers that get only half of the commands of a coordinator's last step.

    ``before`` each step something may happen to them.
    """

    life = Life()
    before: Callable[[int], None] | None = None

    def call(self, commands: Sequence[Command], *, timeout_s: float | None = None) -> list[Reply]:
        if self.before is not None and self.life.last < math.inf:
            self.before(self.life.steps + 1)
        if self.life.ends():
            super().call(commands[: len(commands) // 2])
            raise Killed
        return super().call(commands, timeout_s=timeout_s)


def going_back(
    servers: KillableServers, run: str, layout: Layout, at: int, by: int
) -> Callable[[int], None]:
    """Shard 1 goes back, before the coordinator's step ``at``, to what it was ``by`` before."""
    pattern, server = keys.shard(run, 1, "*"), layout.server(1)
    plain = cast("KillableServers", servers.only(server))
    plain.before, dumps, done = None, list[Dump](), list[int]()

    def before(step: int) -> None:
        if done:
            return
        dumps.append(dumped(plain, pattern))
        if step >= at:  # a commit is a step of which servers do not hear
            done.append(step)
            put_back(plain, pattern, 0, dumps[max(0, len(dumps) - 1 - by)])

    return before


class KillableLeader(Leader):
    """Leadership of a run that notes which losses were committed; a commit is a step, too."""

    def __init__(self, control: Servers, run: str, life: Life, losses: Losses) -> None:
        super().__init__(control, run, CONFIG.lease_seconds)
        self._life = life
        self._losses = losses

    def commit(self, state: Mapping[str, Any]) -> None:
        if self._life.ends():
            raise Killed
        super().commit(state)
        iteration, loss = state["state"]["iteration"], state["state"]["loss"]
        # An iteration that is made again is the same one.
        assert self._losses.setdefault(iteration, loss) == loss


class LocalBatch:
    """A batch of one portion, which the coordinator computes itself."""

    n_portions, n_done, n_live, workers, quantum = 1, 0, 1, 1, 0.0
    slowest = None

    def __init__(self, session: Session, store: VectorStore, *args: Any) -> None:
        self._session = session
        self._store = store
        self._turn = args[-1]
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
        loss, values = rosenbrock(np.asarray(point, np.float64))
        self._store.begin(self.number, gradient)
        added = self._store.accumulate(self._session.fence, self.number, gradient, 0, values)
        assert set(added) == {Counted.COUNTED}
        self._turn()
        if set(self._store.counted(self.number)) != {1}:
            raise ShardBehind("a shard lacks the portion")
        return loss


class KillableRun:
    """The servers, and the runs of a test on them, whose objective has an L1 term or not."""

    def __init__(
        self, cluster: LocalCluster, folder: Path, new_run: Callable[[], str], l1: float = 0.0
    ) -> None:
        self.config = CONFIG.model_copy(update={"l1": l1})
        self.problem = replace(PROBLEM, config=self.config)
        self.servers = KillableServers(cluster.endpoints.parameter_servers)
        self.control = Servers([cluster.endpoints.broker])
        self._folder = folder
        self._new_run = new_run
        self.begin()

    def begin(self) -> None:
        """From now on it is about another run."""
        self.run, self.losses = self._new_run(), Losses()
        self.folder = self._folder / self.run

    def live(
        self,
        last: float = math.inf,
        after: Callable[[Sandblaster, Checkpoints], None] = lambda driver, checkpoints: None,
    ) -> tuple[Life, list[str], Vector]:
        """Coordinate the run from where it stands to its end: its steps, words, parameters.

        ``after`` each evaluation something may happen.
        """
        self.servers.life = Life()  # that of others is over
        life = Life(last)
        leader = KillableLeader(self.control, self.run, life, self.losses)
        checkpoints = Checkpoints(self.folder, math.inf, 3, pytest.fail)
        record = RunRecord(
            self.run, self.config, LAYOUT, tuple(self.servers.addresses), "", Schema(1)
        )
        nobody = cast("Any", None)
        session = Session(record, self.control, self.servers, nobody, leader)
        try:
            session.take(
                least_fence=session.highest_fence() + 1, take_over=True, say=lambda text: None
            )
            hooks = DriverHooks(
                lambda status: after(driver, checkpoints), leader.check, lambda: False, checkpoints
            )
            store = RedisVectorStore(self.servers, self.run, LAYOUT, fence=session.fence)
            driver = Sandblaster(session, self.problem, hooks, store, workers=1)
            begun, said = bool(self.folder.exists()), []
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
                    assert driver.run() is EndReason.ITERATIONS
                    return life, said, driver.finish(resumable=False).parameters
                except DataLost:
                    session.renew()
                    said += driver.restore(checkpoints.latest)
        finally:
            self.servers.life = Life()
            checkpoints.close()
            leader.stop()

    def goes_back(self, at: int, by: int) -> Callable[[int], None]:
        """Shard 1 goes back, before the coordinator's step ``at``, to what it was ``by`` before."""
        return going_back(self.servers, self.run, LAYOUT, at, by)

    def leftovers(self, shard: int | str = "*") -> list[bytes]:
        """The names of the run's keys on the parameter servers, parameters and meta aside."""
        pattern = keys.shard(self.run, cast("int", shard), "*")
        found = []
        for server in range(len(self.servers)):
            found += self.servers.one("KEYS", pattern, server=server)
        return [key for key in found if not key.endswith((b":meta", b":params"))]

    def lose(self, what: str) -> None:
        """Have a shard lose the newest gradient, or all that it has."""
        document = leadership.committed(self.control, self.run)
        assert document is not None
        names = [named(document["state"]["gradient"])]
        if what == "a whole shard":
            names = [key.decode().rpartition("}:")[2] for key in self.leftovers(1)] + [
                "meta",
                "params",
            ]
        lost = [keys.shard(self.run, 1, name) for name in names]
        assert self.servers.one("UNLINK", *lost, server=LAYOUT.server(1)) == len(lost)

    def close(self) -> None:
        self.servers.close()
        self.control.close()
