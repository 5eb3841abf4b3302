"""A run as its coordinator holds it: model, data, shards, ledger and dispatcher."""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.config import RunConfig
from app.keys import CELERY_PREFIX
from app.runs import events
from app.runs.ledger import Ledger
from app.runs.record import RunRecord
from app.store.servers import Servers
from coordinator.dispatch import Dispatcher
from coordinator.job import Job
from coordinator.local import Endpoints
from coordinator.messages import Messages


def new_run_id() -> str:
    """Sorts by time, and is unique without asking anybody."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"


@dataclass(frozen=True)
class Session:
    """A run's servers and messages, as its coordinator holds them.

    ``control`` is the control server, ``servers`` the parameter servers.
    """

    record: RunRecord
    control: Servers
    servers: Servers
    messages: Messages

    @property
    def config(self) -> RunConfig:
        return self.record.config

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Units of this run, in flight."""
        config = self.config
        return Dispatcher(
            Ledger(self.control, self.record.run),
            self.send,
            self._waiting,
            lease_s=config.lease_seconds,
            max_tries=config.unit_attempts,
            stall_s=config.stall_seconds,
        )

    def send(self, task: str, *arguments: str | int) -> None:
        """Publish a message for a task of this run; raises ServerUnreachable."""
        self.messages.send(task, self.record.run, *arguments)

    def hurry(self, deadline_s: float) -> None:
        """From now on give up on servers that do not answer within ``deadline_s``."""
        self.control.deadline_s = self.servers.deadline_s = deadline_s

    def close(self) -> None:
        """Close all connections."""
        self.messages.close()
        self.control.close()
        self.servers.close()

    def tell(self, kind: str, **fields: Any) -> None:
        """Add an event to the run's stream."""
        events.append(self.control, self.record.run, kind, **fields)

    def _waiting(self, task: str) -> int:
        """Messages in the task's queue, which has its name, that no worker has taken."""
        return int(self.control.one("LLEN", f"{CELERY_PREFIX}{task}"))


def open_session(run: str, job: Job, place: Endpoints) -> Session:
    """Connect to the servers of a run; nothing is written yet."""
    deadline_s = job.config.server_seconds
    servers = Servers(place.parameter_servers, deadline_s=deadline_s)
    record = RunRecord(
        run=run,
        config=job.config,
        layout=job.layout,
        parameter_servers=tuple(servers.addresses),
        fingerprint=job.dataset.fingerprint,
        n_features=job.dataset.n_features,
        n_classes=job.dataset.n_classes,
    )
    control = Servers([place.broker], deadline_s=deadline_s)
    return Session(record, control, servers, Messages(place.broker))


def owner() -> dict[str, Any]:
    """This coordinator, for the run's events."""
    return {"host": socket.gethostname(), "process": os.getpid()}
