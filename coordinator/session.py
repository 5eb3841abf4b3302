"""A run as its coordinator holds it: model, data, shards, ledger and dispatcher."""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Any

from kombu.exceptions import OperationalError

from app.celery import app as celery_app
from app.config import RunConfig
from app.environment import kombu_url
from app.errors import ServerUnreachable
from app.keys import CELERY_PREFIX
from app.models.model import Model
from app.optimizers.registry import build_rule
from app.runs import events
from app.runs.ledger import Ledger
from app.runs.record import RunRecord
from app.store.contract import ParameterStore
from app.store.parameters import RedisParameterStore
from app.store.servers import Servers
from coordinator.dispatch import Dispatcher
from coordinator.job import Job
from coordinator.local import Endpoints

TASKS = {"downpour": "distbelief.downpour", "evaluation": "distbelief.evaluation"}
PUBLISH_RETRIES = {"max_retries": 5, "interval_start": 0.2, "interval_max": 2.0}


def new_run_id() -> str:
    """Sorts by time, and is unique without asking anybody."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"


@dataclass(frozen=True)
class Session:
    """What the drivers of a run work with. ``n_heldout`` examples are held out."""

    record: RunRecord
    model: Model
    store: ParameterStore
    control: Servers
    servers: Servers
    dispatcher: Dispatcher
    n_heldout: int

    @property
    def config(self) -> RunConfig:
        return self.record.config

    def tell(self, kind: str, **fields: Any) -> None:
        """Add an event to the run's stream."""
        events.append(self.control, self.record.run, kind, **fields)


def open_session(run: str, job: Job, place: Endpoints) -> Session:
    """Connect to the servers of a run; nothing is written yet."""
    celery_app.conf.broker_url = kombu_url(place.broker)
    deadline_s = job.config.server_seconds
    control = Servers([place.broker], deadline_s=deadline_s)
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
    return Session(
        record=record,
        model=job.model,
        store=RedisParameterStore(servers, run, job.layout, build_rule(job.config)),
        control=control,
        servers=servers,
        dispatcher=_dispatcher(control, record),
        n_heldout=job.n_heldout,
    )


def owner() -> dict[str, Any]:
    """This coordinator, for the run's events."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def _dispatcher(control: Servers, record: RunRecord) -> Dispatcher:
    def send(task: str, unit: str) -> None:
        try:
            celery_app.send_task(
                TASKS[task], (record.run, unit), retry=True, retry_policy=PUBLISH_RETRIES
            )
        except OperationalError as error:
            raise ServerUnreachable(f"{control.addresses[0]} takes no messages: {error}") from error

    def waiting(task: str) -> int:
        return int(control.one("LLEN", f"{CELERY_PREFIX}{task}"))

    return Dispatcher(
        Ledger(control, record.run),
        send,
        waiting,
        lease_s=record.config.lease_seconds,
        max_tries=record.config.unit_attempts,
        stall_s=record.config.stall_seconds,
    )
