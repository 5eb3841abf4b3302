"""Messages to workers, by an application of the coordinator's own or by one that joined.

Celery's current application keeps the broker it saw first; one process may train on
several clusters, one after another. Questions go through the roster on the control server, for
not every broker of Celery's can carry them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from kombu.exceptions import OperationalError

from distbelief.app.broker import queued
from distbelief.app.broker.application import Application
from distbelief.app.broker.foreign_keys import ForeignKey
from distbelief.app.broker.joining import application, options_of, queues_of, serializer_of
from distbelief.app.broker.messages import Arguments, task_of
from distbelief.app.client.addresses import address
from distbelief.app.client.servers import Servers, Waiting
from distbelief.app.errors import ServerRefused, ServerUnreachable
from distbelief.app.runs.roster import Roster, Seen, shown
from distbelief.coordinator.cluster.endpoints import Endpoints

#: Kombu's own, which replaces connections that broke; we ask again after these.
PUBLISH_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5}
PUBLISH_PAUSE_S = 0.5


#: How long workers have to answer a question.
ANSWER_S = 1.0

#: The serializer whose messages we read in queues.
JSON = "json"


Answer = TypeVar("Answer")


def shared_names(names: Iterable[str]) -> list[str]:
    """For each name that several workers have a sentence that says so."""
    return [
        f"{number} workers are called {name}, and Celery shows one of them at most: start each "
        "with a name of its own (--hostname NAME@%h)"
        for name, number in sorted(Counter(names).items())
        if number > 1
    ]


class Messages:
    """Sends tasks to workers, and asks who is there.

    Sending raises ServerUnreachable if the broker does not answer before the deadline, and
    ServerRefused where a stranger's key lies in the way. Questions raise the ServerError family of
    the control server.

    Args:
        endpoints: the servers; a URL is that of a Redis that is broker and control server.
        deadline_s: how long to try.
        waiting: told of long waits.
        control: the control server's client, which the run has anyway; else one is made.
    """

    def __init__(
        self,
        endpoints: Endpoints | str,
        deadline_s: float = 60.0,
        waiting: Waiting | None = None,
        control: Servers | None = None,
    ) -> None:
        at = Endpoints(endpoints, ()) if isinstance(endpoints, str) else endpoints
        self.address = address(at.broker) if at.celery_app is None else at.celery_app
        self.celery_app = at.celery_app
        self._app = Application(at.broker) if at.celery_app is None else application(at.celery_app)
        self._queues = queues_of(self._app)
        self._deadline_s = deadline_s
        self._waiting = waiting
        self._own = Servers([at.control], deadline_s=deadline_s, waiting=waiting)
        self._roster = Roster(control or self._own)

    def send(
        self, task: str, run: str, *arguments: str | int, shown: str, queue: str | None = None
    ) -> None:
        """Publish a message for a task, until it is taken, for those who do its kind of work.

        That is ``queue``, if it is not the task's own kind. It may be published twice: a message is
        only a hint. ``shown`` is what logs and Flower show in place of the arguments after the run.
        """
        self._until_done(
            lambda: self._app.send_task(
                task_of(task),
                (run, *arguments),
                argsrepr=f"{run}, {shown}",
                kwargsrepr="",
                retry=True,
                retry_policy=PUBLISH_RETRIES,
                **self._options(queue or task),
            )
        )

    def queue_of(self, kind: str) -> str | None:
        """The queue of a kind of work; None if only the application's routes know it."""
        return self._queues[kind]

    def waiting(self, kind: str, task: str, run: str) -> set[Arguments] | None:
        """The messages for a task of a run that no worker has taken.

        None where nobody can say: only a Redis lets us look.
        """
        queue = self._queues[kind]
        if queue is None or serializer_of(self._app) != JSON:
            return None
        try:
            with self._translate_errors():
                found = queued.look(self._app, queue)
        except ServerUnreachable:
            return None
        if found is None:
            return None
        name = task_of(task)
        return {each.arguments for each in found if (each.task, each.run) == (name, run)}

    def enable_events(self) -> None:
        """Have the workers that are there tell Flower what they do, once they say that they do."""
        there = max(1, len(self.seen().present))
        self._until_done(
            lambda: self._app.control.enable_events(reply=True, timeout=ANSWER_S, limit=there)
        )

    def seen(self) -> Seen:
        """The workers that the roster knows."""
        return self._roster.look()

    def queues_served(self, answer_s: float = ANSWER_S) -> list[tuple[str, set[str]]]:
        """Name and queues of each worker that answers within ``answer_s``."""
        answers = self.answers("queues", answer_s=answer_s)
        return [(name, set(answer["queues"])) for name, answer in answers if "queues" in answer]

    def processes(self, kinds: Iterable[str] = (), answer_s: float = ANSWER_S) -> int:
        """Processes of all workers that answer, and do one of these ``kinds`` of work."""
        queues = {self._queues[kind] for kind in kinds} - {None}
        return sum(
            int(answer.get("processes", 0))
            for _, answer in self.answers("queues", answer_s=answer_s)
            if not queues or queues & {*answer.get("queues", ())}
        )

    def calls(self, task: str, run: str, *, begun: bool) -> dict[Arguments, str] | None:
        """Calls of a task of this run that workers have, and which worker has it.

        Only those that it is at, if they are to be ``begun``. The keys are the arguments after the
        run's name. None if no worker answers at all.
        """
        answers = self.answers("calls")
        if not answers:
            return None
        return {
            tuple(each["args"][1:]): worker
            for worker, answer in answers
            for kind in (["active"] if begun else ["reserved", "active"])
            for each in answer.get(kind, ())
            if each["name"] == task_of(task) and each["args"][:1] == [run]
        }

    def ask(self, command: str, to: Collection[str], **words: Any) -> dict[str, Any]:
        """Ask workers by their names; the answer of each that gives one."""
        found = self._roster.ask(command, words, ANSWER_S, to)
        return {shown(worker): answer for worker, answer in found.items()}

    def answers(
        self, command: str, answer_s: float = ANSWER_S, **words: Any
    ) -> list[tuple[str, dict[str, Any]]]:
        """Ask all workers; each one's answer.

        Each comes with its worker's name. Several workers may have one name: they are as many here.
        """
        found = self._roster.ask(command, words, answer_s)
        return [(shown(worker), answer) for worker, answer in found.items()]

    def close(self) -> None:
        """Give connections back to kombu's pool, which serves all applications of a broker."""
        if isinstance(self._app, Application):  # a team's own goes on
            self._app.close()
        self._own.close()

    def _options(self, kind: str) -> dict[str, Any]:
        """Where a message goes."""
        queue = self._queues[kind]
        if not isinstance(self._app, Application):
            return options_of(self._app, queue)
        # The workers declare their queues. Kombu would do it again in each new connection, and if
        # that breaks meanwhile, go on with a channel that is closed.
        return {"queue": queue, "declare": []} if self._app.on_redis else {"queue": queue}

    def _until_done(self, do: Callable[[], Answer]) -> Answer:
        """Do it, again and again while the broker does not answer, until the deadline."""
        began = time.monotonic()
        while True:
            try:
                with self._translate_errors():
                    return do()
            except ServerUnreachable as error:
                waited = time.monotonic() - began
                if waited > self._deadline_s:
                    raise
                if self._waiting is not None:
                    self._waiting(str(error), waited)
            time.sleep(PUBLISH_PAUSE_S)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, redis.RedisError, OSError) as error:
            foreign = error if isinstance(error, ForeignKey) else error.__cause__
            if isinstance(foreign, ForeignKey):
                raise ServerRefused(f"{self.address}: {foreign}") from error
            raise ServerUnreachable(f"{self.address} takes no messages: {error}") from error
