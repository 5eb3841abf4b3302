"""A run as its coordinator holds it: model, data, shards, ledger and dispatcher."""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kombu.exceptions import OperationalError

from app.celery import app as celery_app
from app.config import RunConfig
from app.errors import ServerUnreachable
from app.keys import CELERY_PREFIX
from app.runs import events
from app.runs.ledger import Ledger
from app.runs.record import RunRecord
from app.store.servers import Servers
from app.urls import kombu_url
from coordinator.dispatch import Dispatcher
from coordinator.job import Job
from coordinator.local import Endpoints

PUBLISH_RETRIES = {"max_retries": 5, "interval_start": 0.2, "interval_max": 2.0}


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
        try:
            celery_app.send_task(
                f"distbelief.{task}",
                (self.record.run, *arguments),
                retry=True,
                retry_policy=PUBLISH_RETRIES,
            )
        except OperationalError as error:
            raise ServerUnreachable(
                f"{self.control.addresses[0]} takes no messages: {error}"
            ) from error

    def tell(self, kind: str, **fields: Any) -> None:
        """Add an event to the run's stream."""
        events.append(self.control, self.record.run, kind, **fields)

    def _waiting(self, task: str) -> int:
        """Messages in the task's queue, which has its name, that no worker has taken."""
        return int(self.control.one("LLEN", f"{CELERY_PREFIX}{task}"))


def open_session(run: str, job: Job, place: Endpoints) -> Session:
    """Connect to the servers of a run; nothing is written yet."""
    celery_app.conf.broker_url = kombu_url(place.broker)
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
    return Session(record, Servers([place.broker], deadline_s=deadline_s), servers)


def owner() -> dict[str, Any]:
    """This coordinator, for the run's events."""
    return {"host": socket.gethostname(), "process": os.getpid()}
