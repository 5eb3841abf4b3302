"""Celery applications: that of our workers, and that by which a coordinator sends messages.

Importing it, or making an application, changes nothing for a program that uses Celery for itself:
nothing becomes current or default, and what a worker of ours needs happens when that worker starts.

Celery carries hints that there is work; who does it and what counts is decided by the
ledger (:mod:`distbelief.app.runs.ledger`). The settings below follow from that, and from what was
seen to happen when servers and workers die.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import cache
from typing import IO, Any

import click
from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from celery.concurrency import ALIASES
from celery.loaders.app import AppLoader
from celery.signals import after_setup_logger, after_setup_task_logger, import_modules
from kombu.entity import Queue

from distbelief.app.broker.messages import DOWNPOUR, TYPES, task_of
from distbelief.app.broker.tasks import MODULES, register
from distbelief.app.broker.transport import OurConnection
from distbelief.app.client.addresses import ServerAddress
from distbelief.app.client.credentials import credentials_for
from distbelief.app.errors import ExitCode
from distbelief.app.files.visible import VisibleRecords
from distbelief.app.settings.environment import (
    BLAS_THREADS,
    BROKER,
    broker_url,
    control_url,
    is_meant_as_redis,
)

log = logging.getLogger(__name__)

#: Variables of the environment by which Celery, or its command, would take an address or settings
#: from elsewhere. They are those of the program around us, if of anybody.
FOREIGN = (
    "BROKER_URL",
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
    "CELERY_CONFIG_MODULE",
)


#: Celery's pools that compute one thing at a time in a process. In the others threads share one
#: BLAS and the limits on it, and Celery looks only once a second whether one of them is free.
POOLS = ("celery.concurrency.prefork", "celery.concurrency.solo")

#: How often a worker looks for dead processes of its own.
REPLACE_EVERY_S = 1.0

SETTINGS: dict[str, Any] = {
    "include": [*MODULES],
    # Nothing is ever unpickled.
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "accept_content": ["json"],
    # With late acknowledgement and several processes a restart of Redis ends the worker,
    # and a dropped connection starts a second copy of a running task.
    "task_acks_late": False,
    "worker_prefetch_multiplier": 1,
    # True loses tasks; the default changes in Celery 6.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "task_ignore_result": True,
    # Events cost as much as a small portion, and most runs have nobody listening: Flower
    # turns them on in the workers when it starts, others can (celery control enable_events).
    "task_track_started": True,
    "worker_send_task_events": False,
    "task_send_sent_event": False,
    # A misspelt queue is an error, not a place where tasks wait for ever.
    "task_create_missing_queues": False,
    "task_queues": [Queue(name) for name in TYPES],
    "task_default_queue": DOWNPOUR,
    "task_routes": {task_of(name): {"queue": name} for name in TYPES},
    # Servers restart and come back: never give up on them.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # Nor on one that answers with an error while it fails over: READONLY, UNBLOCKED, MISCONF.
    "broker_channel_error_retry": True,
    # On SIGTERM under REMAP_SIGTERM=SIGQUIT: time to finish a unit before it is cut off.
    "worker_soft_shutdown_timeout": 10.0,
    "worker_hijack_root_logger": False,
}

#: Where the broker is a Redis.
REDIS_SETTINGS: dict[str, Any] = {
    # With early acknowledgement, a prefetched message would wait for the visibility
    # timeout after a crash.
    "worker_disable_prefetch": True,
    "broker_transport_options": {
        # Kombu would keep each message until it is acknowledged, to deliver it again an hour
        # later. If a server dies during an acknowledgement, putting that message back fails
        # and ends the worker; the ledger knows better what there is to do again.
        "ack_emulation": False,
        "priority_steps": [0],  # one list for each queue: its length is then one LLEN
        # Without a timeout, publishing to a frozen server blocks for ever.
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
}


class Protocol(AMQP):  # type: ignore[misc]
    """Celery's way to talk to a broker, over connections that survive odd messages."""

    Connection = OurConnection


class Application(Celery):  # type: ignore[misc]  # Celery has no types
    """A Celery application whose broker and settings are ours, whatever the environment says.

    Celery takes the variables in ``FOREIGN`` before anything that a program says.

    Args:
        broker: URL of the broker.

    Raises:
        ConfigError: it is none.
    """

    #: Django's would set up the project of the program around us.
    builtin_fixups = frozenset[str]()

    def __init__(self, broker: str) -> None:
        self.on_redis = is_meant_as_redis(broker)
        self._credentials = credentials_for(broker) if self.on_redis else None
        secret = self._credentials is not None
        own = _on_redis(broker, secret=secret) if self.on_redis else {"broker_url": broker}
        self.address = own["broker_url"]
        self._broker = broker
        super().__init__(
            "distbelief",
            broker=self.address,
            # Results travel through the ledger; a result backend would double the cost of a task.
            backend="disabled",
            loader=Loader,
            amqp=Protocol if self.on_redis else AMQP,
            set_as_current=False,
        )
        self.conf.update({**SETTINGS, **own})
        register(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """How a process that is spawned, not forked, comes to its worker's application."""
        return (worker_application, ()) if self.steps["worker"] else (Application, (self._broker,))

    def connection_for_read(self, url: str | None = None, **words: Any) -> Any:
        return self._with_credentials(super().connection_for_read(url or self.address, **words))

    def connection_for_write(self, url: str | None = None, **words: Any) -> Any:
        return self._with_credentials(super().connection_for_write(url or self.address, **words))

    def connection(self, hostname: str | None = None, **words: Any) -> Any:
        return super().connection(hostname or self.address, **words)

    broker_connection = connection

    def _with_credentials(self, made: Any) -> Any:
        """The connection, which reads a password that comes from a file whenever it connects.

        Celery hands no provider on to kombu.
        """
        if self._credentials is not None:
            made.credential_provider = self._credentials
        return made


def _on_redis(broker: str, *, secret: bool) -> dict[str, Any]:
    """Settings where the broker is a Redis; ``secret``: somebody else knows who we are there.

    Raises:
        ConfigError: the URL is none of a Redis.
    """
    address = ServerAddress.parse(broker)
    if secret:
        address = replace(address, username=None, password=None)
    own, ours = address.celery_settings(), REDIS_SETTINGS["broker_transport_options"]
    options = {**ours, **own["broker_transport_options"]}
    # One prefix, for access lists and tidiness, and for channels, too.
    options["global_keyprefix"] = address.key_prefix + address.celery_prefix
    return {**REDIS_SETTINGS, **own, "broker_transport_options": options}


class Loader(AppLoader):  # type: ignore[misc]
    """Loads our tasks, and no module with somebody's settings."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        return {}


class Replacement(bootsteps.StartStopStep):  # type: ignore[misc]
    """Looks for dead processes of the pool, and has them replaced.

    Celery alone notices some at once, others up to five seconds later: until then their
    tasks count as running, and nobody works in their place.
    """

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        hub.call_repeatedly(REPLACE_EVERY_S, worker.pool.maintain_pool)


class PoolRefused(click.ClickException):
    """A worker was told to use a pool that is not for our tasks."""

    exit_code = ExitCode.USAGE

    def __init__(self, pool: str) -> None:
        super().__init__(
            f"tasks that compute need processes of their own, and the pool {pool} has none: start "
            "the worker with --pool prefork (or solo), and as many processes as it has cores"
        )

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it as our own commands do."""
        click.echo(f"error: {self.message}", file=file, err=file is None)


class PoolCheck(bootsteps.Step):  # type: ignore[misc]
    """Refuses pools in which our tasks would be slow, and in one another's way."""

    def __init__(self, worker: Any, **words: Any) -> None:
        super().__init__(worker, **words)
        if worker.pool_cls.__module__ not in POOLS:
            path = f"{worker.pool_cls.__module__}:{worker.pool_cls.__qualname__}"
            raise PoolRefused(next((name for name, at in ALIASES.items() if at == path), path))


@cache
def worker_application() -> Application:
    """The application of the workers of this process, on the operator's control server.

    Raises:
        ConfigError: the file that should name a server cannot be read, or nothing names a control
            server beside a broker that is no Redis.
    """
    made = Application(broker_url())
    control_url()
    made.steps["worker"] |= {PoolCheck, Replacement}
    import_modules.connect(_begin, sender=made)
    after_setup_logger.connect(_write_safely)
    after_setup_task_logger.connect(_write_safely)
    return made


def _write_safely(logger: logging.Logger, **_: object) -> None:
    """Have the log of a worker of ours show what would command a terminal."""
    for handler in logger.handlers:
        handler.addFilter(VisibleRecords())


def _begin(**_: object) -> None:
    """Begin a worker of ours: called before it imports the tasks, and with them NumPy.

    It computes with one BLAS thread in each process, for there is one process for each core, and
    threads that fight over cores are slower than none.
    """
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    for variable in FOREIGN:
        if os.environ.get(variable):
            log.warning("%s is set, and not used: %s names our server", variable, BROKER)
