"""Real drivers on real servers, whose coordinator may die at any step it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import pytest

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.servers import Servers
from distbelief.app.errors import DataLost, ShardBehind
from distbelief.app.layout import keys
from distbelief.app.layout.keys import named
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs import leadership
from distbelief.app.runs.record import RunRecord
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.status import Tally
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.driver import Driver, DriverHooks
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.redis.client.dumps import Dump, dumped, put_back

D = TypeVar("D", bound=Driver)

#: The loss of a point, and its gradient.
Objective = Callable[[Vector], tuple[float, Vector]]


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


class KillableLeader(Leader):
    """Leadership of a run; a commit is a step, too, of which ``note`` is told."""

    def __init__(
        self, control: Servers, run: str, life: Life, note: Callable[[Mapping[str, Any]], None]
    ) -> None:
        super().__init__(control, run, 10.0)
        self.life = life
        self._note = note

    def commit(self, state: Mapping[str, Any]) -> None:
        if self.life.ends():
            raise Killed
        super().commit(state)
        self._note(state)


class LocalBatch:
    """A batch of one portion, which the coordinator computes itself.

    It is added in parts, of which these are the ``shares``.
    """

    shares: tuple[float, ...] = (1.0,)
    n_portions, n_done, n_live, workers, quantum = 1, 0, 1, 1, 0.0
    slowest = None

    def __init__(
        self, objective: Objective, session: Session, store: VectorStore, *args: Any
    ) -> None:
        self._objective = objective
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

    def clear(self) -> None: ...

    def evaluate(self, request: Evaluate) -> float:
        self.number += 1
        gradient = named(request.gradient)
        loss, values = self._objective(self._store.fetch(named(request.point)).vector)
        self._store.begin(self.number, gradient)
        fence, number = self._session.fence, self.number
        for part, share in enumerate(self.shares):
            added = self._store.accumulate(fence, number, gradient, part, share * values)
            assert set(added) == {Counted.COUNTED}
        self._turn()
        if set(self._store.counted(number)) != {len(self.shares)}:
            raise ShardBehind("a shard lacks the portion")
        return loss


@dataclass(frozen=True)
class Lived:
    """What a coordinator did that lived: the steps it took, what it said, and the result.

    ``handover`` is what was told of the last hand-over and its step, None if another coordinator
    made it, or nobody; ``first`` the loss of the first iteration that it told of.
    """

    steps: int
    said: list[str]
    parameters: Vector
    handover: dict[str, Any] | None
    first: float | None
    summary: list[str]


@dataclass
class KillableSession(Session):
    """A session that remembers what it told, and at which step."""

    def __post_init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, **fields: Any) -> None:
        step = cast("KillableLeader", self.leader).life.steps
        self.events.append((kind, fields | {"at_step": step}))


class KillableRun(Generic[D]):
    """The servers, and the runs of a test on them; ``reason`` is how each is to end.

    ``plain`` are the same servers for everybody but the coordinator.
    """

    reason: EndReason

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        new_run: Callable[[], str],
        problem: Problem,
        record: RunRecord,
    ) -> None:
        self.servers = KillableServers(cluster.endpoints.parameter_servers)
        self.plain = Servers(cluster.endpoints.parameter_servers)
        self.control = Servers([cluster.endpoints.broker])
        self.problem = problem
        self._record = record
        self._folder = folder
        self._new_run = new_run
        self.begin()

    def begin(self) -> None:
        """From now on it is about another run."""
        self.run = self._new_run()
        self.folder = self._folder / self.run

    def live(
        self,
        last: float = math.inf,
        after: Callable[[D, Checkpoints], None] = lambda driver, checkpoints: None,
    ) -> Lived:
        """Coordinate the run from where it stands to its end.

        ``after`` each look around something may happen.
        """
        self.servers.life = Life()  # that of others is over
        life = Life(last)
        leader = KillableLeader(self.control, self.run, life, self.note)
        checkpoints = Checkpoints(self.folder, math.inf, 3, pytest.fail)
        session = self.session(leader)
        try:
            session.take(
                least_fence=session.highest_fence() + 1, take_over=True, say=lambda text: None
            )
            hooks = DriverHooks(
                lambda status: after(driver, checkpoints), leader.check, lambda: False, checkpoints
            )
            driver = self.driver(session, hooks)
            begun, said = bool(self.folder.exists()), list[str]()
            if not begun:
                driver.create()
                checkpoints.write(session.fence, driver.capture)
            self.servers.life = life
            if begun:
                if document := leadership.committed(self.control, self.run):
                    driver.load_state(document)
                driver.restore(checkpoints.latest, said.append)
            while True:
                try:
                    assert driver.run() is self.reason
                    summary, final = [*driver.summary()], driver.finish(resumable=False)
                    break
                except DataLost:
                    session.renew()
                    driver.restore(checkpoints.latest, said.append)
            told = dict(session.events)
            said += [each["what"] for kind, each in session.events if kind == "restored"]
            losses = [each["loss"] for kind, each in session.events if kind == "iteration"]
            first, handover = next(iter(losses), None), told.get("handover")
            return Lived(life.steps, said, final.parameters, handover, first, summary)
        finally:
            self.servers.life = Life()
            checkpoints.close()
            leader.stop()

    def session(self, leader: Leader) -> KillableSession:
        """That of one coordinator."""
        addresses, nobody = tuple(self.servers.addresses), cast("Any", None)
        record = replace(self._record, run=self.run, parameter_servers=addresses)
        return KillableSession(record, self.control, self.servers, nobody, leader)

    def driver(self, session: Session, hooks: DriverHooks) -> D:
        """The driver whose coordinator may die."""
        raise NotImplementedError

    def note(self, state: Mapping[str, Any]) -> None:
        """Hear of a commit."""

    def minimising(self, session: Session, hooks: DriverHooks) -> Sandblaster:
        """A driver of Sandblaster on the servers that count steps."""
        store = RedisVectorStore(
            self.servers, self.run, self.layout, self.problem.config.dtype, fence=session.fence
        )
        return Sandblaster(session, self.problem, hooks, store, workers=1)

    @property
    def layout(self) -> Layout:
        return self.problem.layout

    def goes_back(self, at: int, by: int) -> Callable[[int], None]:
        """Shard 1 goes back, before the coordinator's step ``at``, to what it was ``by`` before."""
        pattern, server = keys.shard(self.run, 1, "*"), self.layout.server(1)
        plain = cast("KillableServers", self.servers.only(server))
        plain.before, dumps, done = None, list[Dump](), list[int]()

        def before(step: int) -> None:
            if done:
                return
            dumps.append(dumped(plain, pattern))
            if step >= at:  # a commit is a step of which servers do not hear
                done.append(step)
                put_back(plain, pattern, 0, dumps[max(0, len(dumps) - 1 - by)])

        return before

    def lose(self, *names: str) -> None:
        """A server loses what it has of shard 1 under these names, or all that it has of it."""
        pattern, server = keys.shard(self.run, 1, "*"), self.layout.server(1)
        lost = [keys.shard(self.run, 1, name) for name in names]
        lost = lost or self.plain.one("KEYS", pattern, server=server)
        assert self.plain.one("UNLINK", *lost, server=server) == len(lost)

    def leftovers(self) -> list[bytes]:
        """The names of the run's keys on the parameter servers, parameters and meta aside."""
        pattern, found = keys.shard(self.run, cast("int", "*"), "*"), list[bytes]()
        for server in range(len(self.plain)):
            found += self.plain.one("KEYS", pattern, server=server)
        return [key for key in found if not key.endswith((b":meta", b":params"))]

    def close(self) -> None:
        for each in (self.servers, self.plain, self.control):
            each.close()
