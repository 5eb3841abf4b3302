"""Joining: a team's own Celery application serves our tasks beside its own.

Its settings are its own: nothing is read from ours, and nothing in its configuration is changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from celery import Celery
from celery.app.routes import Router
from celery.app.utils import find_app
from celery.signals import import_modules

from distbelief.app.broker.application import Application
from distbelief.app.broker.messages import DOWNPOUR, EVALUATION, SANDBLASTER, TYPES, task_of
from distbelief.app.broker.steps import NoTimeLimits
from distbelief.app.broker.tasks import import_code, register
from distbelief.app.client.addresses import Kind, ServerAddress
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import (
    CONTROL,
    control_url,
    is_redis,
    named_control,
    named_key_prefix,
    with_key_prefix,
)

log = logging.getLogger(__name__)

#: What distinguishes queues: each kind of work has a name for its own.
KINDS = (DOWNPOUR, SANDBLASTER, EVALUATION)

#: A queue for all kinds of work, one for each, or None: where the application's routes lead.
Queues = str | Mapping[str, str] | None


@dataclass(frozen=True)
class Joined:
    """How an application joined; ``control`` is None where it is the broker."""

    queues: Queues
    control: str | None


#: A program's own module, by its names here: nobody else finds an application there.
PROGRAMS = ("__main__", "__mp_main__")

#: How the address of a broker begins that is in the memory of a process.
OF_ONE_PROCESS = "memory://"

#: Names of pickles among serializers.
PICKLES = ("pickle", "application/x-python-serialize")

_joined: WeakKeyDictionary[Celery, Joined] = WeakKeyDictionary()

#: Applications of this process that no import would find, by their names.
_handed: dict[str, Celery] = {}

#: The application whose worker this process is.
_served: list[Celery] = []


def join(app: Celery, queue: Queues = "training", *, control: str | None = None) -> None:
    """Have the workers of a Celery application train, too. Its settings stay as they are.

    It is called where the application is made, so that workers and programs join alike, and
    imports nothing that computes.

    Args:
        app: the application.
        queue: the queue of our tasks, to be named to workers (``-Q celery,training``). Or a queue
            for each kind of work, as in ``{"downpour": "long", "sandblaster": "short",
            "evaluation": "short"}``. Or None: the application's routes and default queue decide.
        control: URL of the Redis with the ledger of runs; ``DISTBELIEF_CONTROL`` goes before it
            [default: the application's broker, if that is a Redis].

    Raises:
        ConfigError: a kind of work has no queue, or there is none of that name.
    """
    app = getattr(app, "_get_current_object", lambda: app)()  # if it is Celery's current_app
    if isinstance(queue, Mapping) and {*queue} != {*KINDS}:
        raise ConfigError(
            f"queue must name a queue for {', '.join(KINDS)} each, got {', '.join(sorted(queue))}"
        )
    known = app in _joined
    _joined[app] = Joined(queue, control)
    if known:  # its module was imported a second time, or says it better
        return
    register(app)
    app.steps["worker"].add(NoTimeLimits)
    import_modules.connect(partial(_serve, app), sender=app, weak=False)


def application(name: str) -> Celery:
    """The joined application that is called so, as Celery's ``-A`` finds it.

    Raises:
        ConfigError: it cannot be imported, is none, has not joined, calls tasks in place, or has
            queues that nobody's worker sees.
    """
    app = _handed.get(name) or _imported(name)
    if app not in _joined:
        raise ConfigError(
            f"the Celery application {name} has not joined: call distbelief.celery.join(app) "
            "where it is made"
        )
    if app.conf.task_always_eager:
        raise ConfigError(
            f"the Celery application {name} has task_always_eager on, with which nothing is sent "
            "to workers: train without it, on servers and workers that are started for the run, "
            "or switch it off"
        )
    if str(app.conf.broker_write_url).startswith(OF_ONE_PROCESS) and app not in _served:
        raise ConfigError(
            f"the broker of the Celery application {name} is {OF_ONE_PROCESS}, which no other "
            "process reaches, and no worker runs in this one: start one in a thread "
            "(celery.contrib.testing.worker), or take filesystem:// or a server"
        )
    return app


def name_of(app: Celery) -> str:
    """A name by which this process, and others if it is in a module, find an application.

    Raises:
        ConfigError: it is no Celery application.
    """
    if not isinstance(app, Celery):
        raise ConfigError(f"celery must be a Celery application, got {type(app).__name__}")
    for module, found in [*sys.modules.items()]:
        if module not in PROGRAMS and not module.startswith("celery"):
            for name, value in [*vars(found).items()] if hasattr(found, "__dict__") else ():
                if value is app:
                    _handed[f"{module}:{name}"] = app
                    return f"{module}:{name}"
    name = f"{app.main or 'application'}:{id(app):x}"
    _handed[name] = app
    return name


def control_of(app: Celery) -> str:
    """The control server of a joined application, with the operator's prefix of keys.

    Raises:
        ConfigError: nothing names it, or it has another prefix.
    """
    found = named_control() or _joined[app].control or _redis_of(app)
    return with_key_prefix(found, named_key_prefix())


def _redis_of(app: Celery) -> str:
    """The broker of an application, if that is one Redis that we understand, too."""
    broker = app.conf.broker_write_url or ""
    try:
        simple = isinstance(broker, str) and is_redis(broker) and ";" not in broker
        # Celery's sentinels name their master in other settings.
        if simple and ServerAddress.parse(broker).kind is Kind.ALONE:
            if not app.conf.broker_use_ssl:
                return broker
            why = "has its TLS in settings of Celery's"
        else:
            why = "is no single Redis"
    except ConfigError as error:
        why = f"has options that only Celery understands ({error})"
    raise ConfigError(
        f"the broker of the Celery application {app.main or ''} {why}: name a Redis for the ledger "
        f"of runs, by --control, {CONTROL} or join(app, control=...)"
    )


def served_control_url() -> str:
    """The control server of this process, which is a worker's; raises ConfigError."""
    return control_of(_served[0]) if _served else control_url()


def is_joined(app: Celery) -> bool:
    """Whether workers of an application serve our tasks."""
    return isinstance(app, Application) or app in _joined


def queues_of(app: Celery) -> dict[str, str | None]:
    """The queue of each kind of work; None where only the application's router knows it."""
    if isinstance(app, Application):
        return dict.fromkeys(TYPES) | {kind: kind for kind in TYPES}
    queues = _joined[app].queues
    if isinstance(queues, str):
        return dict.fromkeys(KINDS, queues)
    return {kind: _routed(app, kind) if queues is None else queues[kind] for kind in KINDS}


def options_of(app: Celery, queue: str | None) -> dict[str, Any]:
    """Of a message to workers of a joined application, beside what it says.

    Raises:
        ConfigError: the application knows no such queue, and makes none.
    """
    plain = {"serializer": serializer_of(app), "ignore_result": True, "add_to_parent": False}
    if queue is None:
        return plain
    try:
        found = app.amqp.queues[queue]
    except KeyError:
        raise ConfigError(
            f"the Celery application {app.main} has no queue {queue}, and "
            f"task_create_missing_queues is off: add Queue('{queue}') to its task_queues"
        ) from None
    # Its routes are for its own tasks: they would add an exchange of theirs.
    return {**plain, "queue": found, "router": Router(app=app, queues=app.amqp.queues)}


def serializer_of(app: Celery) -> str:
    """JSON; the application's own only where its workers take no JSON.

    A message holds names and numbers, which every serializer can carry.

    Raises:
        ConfigError: its workers take nothing but pickles.
    """
    accepted, own = app.conf.accept_content, str(app.conf.task_serializer)
    if accepted is None or {"json", "application/json"} & {*accepted}:
        return "json"
    if own in PICKLES:
        raise ConfigError(
            f"the Celery application {app.main} accepts pickles only, and nothing of ours is ever "
            "pickled: add 'json' to its accept_content"
        )
    return own


def _routed(app: Celery, kind: str) -> str | None:
    """Where the routes of an application lead; None if to no queue but to an exchange."""
    queue = app.amqp.router.route({}, task_of(kind)).get("queue")
    name = getattr(queue, "name", queue)
    return None if name is None else str(name)


def _imported(name: str) -> Celery:
    try:
        found = find_app(name)
    except Exception as error:  # whatever a module of the team's raises
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"celery_app = {name} cannot be imported: {why}") from error
    if not isinstance(found, Celery):
        raise ConfigError(f"celery_app = {name} is no Celery application: write module:name")
    return found


def _serve(app: Celery, **_: object) -> None:
    """Begin a worker: called before it makes processes, which then share what is imported."""
    _served[:] = [app]
    try:
        control_of(app)
    except ConfigError as error:  # its own tasks are none of our business
        log.error("this worker cannot train: %s", error)
    import_code()
