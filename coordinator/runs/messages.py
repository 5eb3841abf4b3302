"""Celery's messages to workers, by an application of the coordinator's own.

Celery's current application keeps the broker it saw first; one process may train on
several clusters, one after another.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.exceptions import OperationalError

from distbelief.app.broker.application import Application
from distbelief.app.client.addresses import address
from distbelief.app.client.servers import Waiting
from distbelief.app.errors import ServerUnreachable

#: Kombu's own, which replaces connections that broke; we ask again after these.
PUBLISH_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5}
PUBLISH_PAUSE_S = 0.5


#: How long workers have to answer a question, unless it is known how many will.
ANSWER_S = 1.0


#: Arguments of a task after the first, which is the run.
Arguments = tuple[str | int, ...]


def arguments_of(message: bytes) -> tuple[str, Arguments]:
    """The run and the other arguments in a message as it lies in its queue."""
    body = base64.b64decode(json.loads(message)["body"])
    (run, *others), _, _ = json.loads(body)
    return run, tuple(others)


class Messages:
    """Sends tasks to workers, and asks who is there.

    Every method raises ServerUnreachable if the broker does not answer; all but ``active``
    only after the deadline. ``workers`` is how many there are, where that is known: then no
    question waits for the answer of another one.
    """

    def __init__(
        self,
        broker: str,
        deadline_s: float = 60.0,
        waiting: Waiting | None = None,
        workers: int | None = None,
    ) -> None:
        self.address = address(broker)
        self._app = Application(broker)
        self._deadline_s = deadline_s
        self._waiting = waiting
        self._workers = workers

    def send(self, task: str, run: str, *arguments: str | int, shown: str) -> None:
        """Publish a message for the task ``distbelief.<task>``, until it is taken.

        It may be published twice: a message is only a hint. ``shown`` is what logs and Flower
        show in place of the arguments after the run.
        """
        self._until_done(
            lambda: self._app.send_task(
                f"distbelief.{task}",
                (run, *arguments),
                argsrepr=f"{run}, {shown}",
                kwargsrepr="",
                # The workers declare their queues. Kombu would do it again in each new
                # connection, and if that breaks meanwhile, go on with a channel that is closed.
                declare=[],
                retry=True,
                retry_policy=PUBLISH_RETRIES,
            )
        )

    def enable_events(self) -> None:
        """Have the workers that are there tell Flower what they do."""
        self._until_done(self._app.control.enable_events)

    def queues_served(self, answer_s: float = ANSWER_S) -> dict[str, set[str]]:
        """The queues of each worker that answers within ``answer_s``, by its name."""
        answers = self._until_done(lambda: self._inspect(answer_s).active_queues()) or {}
        return {name: {queue["name"] for queue in queues} for name, queues in answers.items()}

    def processes(self) -> int:
        """Processes of all workers that answer; at least 1."""
        answers = self._until_done(lambda: self._inspect().stats()) or {}
        return max(1, sum(int(each["pool"]["max-concurrency"]) for each in answers.values()))

    def active(self, task: str, run: str) -> dict[Arguments, str] | None:
        """Calls of a task of this run that workers say they are at, and which worker is.

        The keys are the arguments after the run's name. None if no worker answers at all.
        """
        with self._translate_errors():
            answers = self._inspect().active()
        if answers is None:
            return None
        return {
            tuple(each["args"][1:]): worker
            for worker, tasks in answers.items()
            for each in tasks
            if each["name"] == f"distbelief.{task}" and each["args"][:1] == [run]
        }

    def ask(self, command: str, to: list[str] | None = None, **words: Any) -> dict[str, Any]:
        """Send one of Celery's control commands, or of ours; each worker's answer by its name.

        ``to`` names the workers; without it all are asked, and have ``ANSWER_S``.
        """
        answers = self._until_done(
            lambda: self._app.control.broadcast(
                command,
                arguments=words,
                destination=to,
                reply=True,
                timeout=ANSWER_S,
                limit=len(to) if to is not None else None,
            )
        )
        return {name: told for each in answers or () for name, told in each.items()}

    def close(self) -> None:
        """Give connections back to kombu's pool, which serves all applications of a broker."""
        self._app.close()

    def _inspect(self, answer_s: float = ANSWER_S) -> Any:
        return self._app.control.inspect(timeout=answer_s, limit=self._workers)

    def _until_done(self, do: Callable[[], Any]) -> Any:
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
            raise ServerUnreachable(f"{self.address} takes no messages: {error}") from error
