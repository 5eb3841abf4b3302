"""The connections of a run: servers, messages, lease and dispatcher of its coordinator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from distbelief.app.broker.messages import CALIBRATION, Arguments
from distbelief.app.client.servers import Servers, Waiting
from distbelief.app.runs import events
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.ledger import Ledger
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.shards import RedisShards
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.events import Event, Listener
from distbelief.coordinator.runs.dispatch import Dispatcher
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.messages import Messages


@dataclass
class Session:
    """A run's servers and messages in the hands of its coordinator.

    ``control`` is the control server, ``servers`` the parameter servers. There is a
    ``dispatcher`` once the run is taken; a new fence brings a new one. ``listeners`` hear of
    every event. ``processes`` of workers were there when they were counted last.
    """

    record: RunRecord
    control: Servers
    servers: Servers
    messages: Messages
    leader: Leader
    dispatcher: Dispatcher = field(init=False)
    listeners: list[Listener] = field(init=False)
    processes: int = field(init=False, default=0)
    _shifts: Iterator[int] = field(init=False, default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.listeners = []

    @property
    def config(self) -> RunConfig:
        return self.record.config

    @property
    def fence(self) -> int:
        """The fencing token of this coordinator, 0 before it took the run."""
        return self.leader.fence

    def take(
        self, *, least_fence: int = 1, take_over: bool = False, say: Callable[[str], None]
    ) -> None:
        """Become the run's coordinator; see
        :meth:`distbelief.coordinator.runs.leader.Leader.take`.
        """
        self.leader.take(self.record, least_fence=least_fence, take_over=take_over, say=say)
        self.dispatcher = self._new_dispatcher(resent=0)

    def highest_fence(self) -> int:
        """The highest fence that the shards know; 0 if they do not know the run."""
        record = self.record
        return RedisShards(self.servers, record.run, record.layout, fence=0).highest_fence()

    def renew(self) -> None:
        """Shut out all that was begun so far, under a new fence."""
        self.leader.renew(self.record)
        self.dispatcher = self._new_dispatcher(self.dispatcher.resent)

    def send_unit(self, task: str, unit: str, attempt: int) -> None:
        """Publish a message for a unit of this run; raises ServerUnreachable."""
        shown, kind = f"{unit}, attempt {attempt}", self._kind(task)
        self.messages.send(task, self.record.run, unit, shown=shown, queue=kind)

    def send_shift(self) -> int:
        """Publish a message that begins a shift of a worker process, and return its number.

        Raises ServerUnreachable.
        """
        shift = next(self._shifts)
        run, shown = self.record.run, f"shift {shift}"
        self.messages.send("sandblaster", run, self.fence, shift, shown=shown)
        return shift

    def hurry(self, deadline_s: float) -> None:
        """From now on give up on servers that do not answer within ``deadline_s``."""
        self.control.hurry(deadline_s)
        self.servers.hurry(deadline_s)

    def close(self) -> None:
        """Close all connections."""
        self.leader.stop()
        self.messages.close()
        self.control.close()
        self.servers.close()

    def tell(self, kind: str, **fields: Any) -> None:
        """Add an event to the run's stream, and tell those who listen here."""
        self.note(kind, **fields)
        events.append(self.control, self.record.run, kind, **fields)

    def note(self, kind: str, **fields: Any) -> None:
        """Tell an event only to those who listen here: not worth room on the server."""
        event = Event(time.time(), kind, fields)
        for listener in self.listeners:
            listener(event)

    def _new_dispatcher(self, resent: int) -> Dispatcher:
        config = self.config
        ledger = Ledger(self.control, self.record.run)
        ledger.clear()
        return Dispatcher(
            ledger,
            self.send_unit,
            self.waiting,
            fence=self.fence,
            lease_s=config.lease_seconds,
            max_tries=config.unit_attempts,
            stall_s=config.stall_seconds,
            resent=resent,
            tell=self.tell,
        )

    def count_processes(self) -> int:
        """Processes of the workers that do this run's kinds of work, of those that answer."""
        return self.messages.processes(self.config.stages)

    def waiting(self, task: str) -> set[Arguments] | None:
        """This run's messages in the task's queue: not taken by a worker. None: not to be seen."""
        return self.messages.waiting(self._kind(task), task, self.record.run)

    def _kind(self, task: str) -> str:
        """The kind of work of a task: that of its name, or that of the run."""
        return self.config.algorithm if task == CALIBRATION else task


def open_session(
    run: str,
    problem: Problem,
    cluster: ClusterConfig,
    endpoints: Endpoints,
    waiting: Waiting | None = None,
) -> Session:
    """Connect to the servers of a run; nothing is written yet. Long waits are told.

    Raises the ServerError family if a parameter server does not say what it computes with, or
    lacks the engine that is wanted.
    """
    deadline_s = problem.config.server_seconds
    control = Servers([endpoints.control], deadline_s=deadline_s, waiting=waiting)
    servers = Servers(
        endpoints.parameter_servers,
        deadline_s=deadline_s,
        waiting=waiting,
        call_ms=problem.config.call_ms,
    )
    choose_engines(servers, cluster.engine, cluster.wait_seconds)
    record = RunRecord(
        run=run,
        config=problem.config,
        layout=problem.layout,
        parameter_servers=tuple(servers.addresses),
        fingerprint=problem.data.fingerprint,
        schema=problem.dataset.schema,
        engines=servers.engines,
        identity=Identity.here(problem.config),
        scaling=problem.scaling,
        fits=problem.data.fits,
        chosen=problem.chosen,
    )
    leader = Leader(control, run, problem.config.lease_seconds, cluster.folder)
    messages = Messages(endpoints, deadline_s, waiting, control)
    return Session(record, control, servers, messages, leader)
