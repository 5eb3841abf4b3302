"""A worker's presence on the roster, and its answers: a thread of its main process.

It begins when the worker listens, and ends with it. Whoever asks gets JSON; a question that is
not understood is answered with what is wrong with it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from celery.contrib.testing.worker import test_worker_started, test_worker_stopped
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from celery.worker import state

from distbelief.app.broker.joining import is_joined, served_control_url
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.reading.access import ROOTS_VARIABLE
from distbelief.app.errors import DistBeliefError
from distbelief.app.runs.roster import Question, Roster
from distbelief.worker_tasks.examination import examine, examined
from distbelief.worker_tasks.introduction import introduce
from distbelief.worker_tasks.link_trial import link
from distbelief.worker_tasks.usage import usage

log = logging.getLogger(__name__)

#: How long a control server may be silent before it is asked anew, and a leave may take.
PATIENCE_S = 5.0
LEAVE_S = 1.0
AT_ONCE_S = 0.001

PAUSE_S = 1.0

#: A set that changes while it is read is read again.
TRIES = 5


class Presence:
    """The presence of one worker, from when it listens."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._over = threading.Event()
        self.worker = f"{consumer.hostname} {uuid.uuid4().hex[:12]}"
        self._commands: Mapping[str, Callable[..., dict[str, Any]]] = {
            "queues": self._queues,
            "calls": calls,
            "examine": lambda **words: {**self._queues(), **examine(**words)},
            "examined": examined,
            "introduce": introduce,
            "link": link,
            "usage": usage,
        }
        self._control = Servers([served_control_url()], deadline_s=PATIENCE_S)
        self._thread = threading.Thread(target=self._run, name="roster", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Leave the roster; whoever asks afterwards does not wait for this worker."""
        if self._over.is_set():
            return
        self._over.set()
        self._control.hurry(AT_ONCE_S)  # wakes the thread
        self._thread.join(LEAVE_S)
        self._control.close()
        with (
            closing(Servers([served_control_url()], deadline_s=LEAVE_S)) as leaving,
            suppress(DistBeliefError),
        ):
            Roster(leaving).leave(self.worker)

    def _run(self) -> None:
        roster = Roster(self._control)
        while not self._over.is_set():
            try:
                roster.beat(self.worker)
                question = roster.next_question(self.worker)
                if question is not None and not self._over.is_set():
                    roster.answer(question, self.worker, self._answer(question))
            except Exception as error:  # noqa: BLE001  (without this thread nobody finds the worker)
                if not self._over.is_set():
                    log.warning("this worker is not on the roster: %s", error)
                    self._over.wait(PAUSE_S)

    def _answer(self, question: Question) -> dict[str, Any]:
        command = self._commands.get(question.command)
        if command is None:
            return {"error": f"unknown question {question.command}"}
        try:
            return command(**question.words)
        except Exception as error:  # noqa: BLE001  (whatever it is, the worker goes on)
            return {"error": f"{type(error).__name__}: {error}"}

    def _queues(self) -> dict[str, Any]:
        consumer = self._consumer
        listening = consumer.task_consumer  # None while it connects again
        return {
            "queues": sorted({queue.name for queue in listening.queues}) if listening else [],
            "processes": consumer.pool.num_processes,
        }


def calls() -> dict[str, Any]:
    """The tasks that this worker is at, and those that it has taken and not begun."""
    active = _listed(state.active_requests)
    waiting = [each for each in _listed(state.reserved_requests) if each not in active]
    return {"active": _told(active), "reserved": _told(waiting)}


def _told(requests: list[Any]) -> list[dict[str, Any]]:
    told = (request.info() for request in requests if request.name.startswith("distbelief."))
    return [{"name": each["name"], "args": each["args"]} for each in told]


def _listed(requests: Any) -> list[Any]:
    """The elements of a set that another thread changes."""
    for _ in range(TRIES):
        with suppress(RuntimeError):
            return list(requests)
        time.sleep(0.001)
    return []


_present: list[Presence] = []


@worker_ready.connect
def begin(sender: Any = None, **_: Any) -> None:
    """Begin when a worker of ours, or one of an application that joined, listens."""
    _begin(sender)


@test_worker_started.connect
def begin_in_thread(consumer: Any = None, **_: Any) -> None:
    """Begin when one listens that is a thread of a program, as Celery has them for tests."""
    _begin(consumer)


def _begin(consumer: Any) -> None:
    if not is_joined(consumer.app):
        return
    end()
    if ROOTS_VARIABLE not in os.environ:  # an empty one says: anywhere
        log.warning(
            "%s is not set: whatever data a run names, this worker opens what its user may read. "
            "Name the places of data there (/data,s3://bucket/train)",
            ROOTS_VARIABLE,
        )
    try:
        _present.append(Presence(consumer))
    except DistBeliefError as error:
        log.error("this worker cannot train: %s", error)


@worker_shutting_down.connect
@worker_shutdown.connect
@test_worker_stopped.connect
def end(**_: Any) -> None:
    """End with the worker."""
    while _present:
        _present.pop().end()
