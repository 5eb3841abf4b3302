"""The Celery application: ``celery -A app worker``. The only file of ``app`` with Celery in it.

Celery carries hints that there is work; who does it and what counts is decided by the
ledger (:mod:`distbelief.app.runs.ledger`). The settings below follow from that, and from what was
seen to happen when servers and workers die.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import import_modules
from kombu.entity import Queue

from distbelief.app.client.urls import kombu_url
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.settings.environment import BLAS_THREADS, broker_url

# Separate queues: long units of one kind must not starve short ones of another, and an
# operator can give each its own workers with -Q.
DOWNPOUR, SANDBLASTER, EVALUATION = "downpour", "sandblaster", "evaluation"

#: How often a worker looks for dead processes of its own.
REPLACE_EVERY_S = 1.0

SETTINGS: dict[str, Any] = {
    "include": [
        "distbelief.worker_tasks.downpour",
        "distbelief.worker_tasks.sandblaster",
        "distbelief.worker_tasks.evaluation",
        "distbelief.worker_tasks.examination",  # control commands: what the doctor asks
    ],
    # Nothing is ever unpickled.
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "accept_content": ["json"],
    # With late acknowledgement and several processes a restart of Redis ends the worker,
    # and a dropped connection starts a second copy of a running task.
    "task_acks_late": False,
    # With early acknowledgement, a prefetched message would wait for the visibility
    # timeout after a crash.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    # True loses tasks; the default changes in Celery 6.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Results travel through the ledger; a result backend would double the cost of a task.
    "task_ignore_result": True,
    "result_backend": None,
    # Events cost as much as a small portion, and most runs have nobody listening: Flower
    # turns them on in the workers when it starts, others can (celery control enable_events).
    "task_track_started": True,
    "worker_send_task_events": False,
    "task_send_sent_event": False,
    # A misspelt queue is an error, not a place where tasks wait for ever.
    "task_create_missing_queues": False,
    "task_queues": [Queue(name) for name in (DOWNPOUR, SANDBLASTER, EVALUATION)],
    "task_default_queue": DOWNPOUR,
    "task_routes": {
        "distbelief.downpour": {"queue": DOWNPOUR},
        "distbelief.sandblaster": {"queue": SANDBLASTER},
        "distbelief.evaluation": {"queue": EVALUATION},
    },
    # Servers restart and come back: never give up on them.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        "global_keyprefix": CELERY_PREFIX,  # one prefix, for access lists and tidiness
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
    # On SIGTERM under REMAP_SIGTERM=SIGQUIT: time to finish a unit before it is cut off.
    "worker_soft_shutdown_timeout": 10.0,
    "worker_hijack_root_logger": False,
}


class Replacement(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Looks for dead processes of the pool, and has them replaced.

    Celery alone notices some at once, others up to five seconds later: until then their
    tasks count as running, and nobody works in their place.
    """

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        hub.call_repeatedly(REPLACE_EVERY_S, worker.pool.maintain_pool)


def make_app(broker: str, *, current: bool = False) -> Celery:
    """A Celery application on ``broker``. Only the worker's is the process's current one."""
    made = Celery("distbelief", broker=kombu_url(broker), set_as_current=current)
    made.conf.update(SETTINGS)
    return made


def one_thread(**_: object) -> None:
    """One BLAS thread in each worker process, from before it imports the tasks, and NumPy.

    There is one process for each core, and threads that fight over cores are slower than
    none. A coordinator sends no such signal: how many threads the program around it uses is
    none of our business.
    """
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")


import_modules.connect(one_thread)

app = make_app(broker_url(), current=True)
app.steps["worker"].add(Replacement)
