"""Celery's messages to workers, by an application of the coordinator's own.

Celery's current application keeps the broker it saw first; one process may train on
several clusters, one after another.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from kombu.exceptions import OperationalError

from distbelief.app.broker import foreign_keys
from distbelief.app.broker.application import Application
from distbelief.app.broker.foreign_keys import ForeignKey
from distbelief.app.broker.messages import Arguments, task_of
from distbelief.app.client.addresses import address
from distbelief.app.client.servers import Waiting
from distbelief.app.errors import ServerRefused, ServerUnreachable

#: Kombu's own, which replaces connections that broke; we ask again after these.
PUBLISH_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5}
PUBLISH_PAUSE_S = 0.5


#: How long workers have to answer a question, unless it is known how many will.
ANSWER_S = 1.0


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

    Every method raises ServerUnreachable if the broker does not answer; all but ``active``
    only after the deadline. It raises ServerRefused where a stranger's key lies in the way.
    ``workers`` is how many there are, where that is known: then no question waits for the answer
    of another one.
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

    def send(
        self, task: str, run: str, *arguments: str | int, shown: str, queue: str | None = None
    ) -> None:
        """Publish a message for a task, until it is taken, to its own queue or to another.

        It may be published twice: a message is only a hint. ``shown`` is what logs and Flower
        show in place of the arguments after the run.
        """
        self._until_done(
            lambda: self._app.send_task(
                task_of(task),
                (run, *arguments),
                queue=queue,
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

    def queues_served(self, answer_s: float = ANSWER_S) -> list[tuple[str, set[str]]]:
        """Name and queues of each worker that answers within ``answer_s``."""
        answers = self.answers("active_queues", answer_s=answer_s)
        return [
            (name, {queue["name"] for queue in queues})
            for name, queues in answers
            if isinstance(queues, list)  # else it says why it cannot tell
        ]

    def processes(self) -> int:
        """Processes of all workers that answer; at least 1."""
        pools = [each["pool"] for _, each in self.answers("stats") if "pool" in each]
        return max(1, sum(int(pool["max-concurrency"]) for pool in pools))

    def active(self, task: str, run: str) -> dict[Arguments, str] | None:
        """Calls of a task of this run that workers say they are at, and which worker is.

        The keys are the arguments after the run's name. None if no worker answers at all.
        """
        with self._translate_errors():
            answers = self._broadcast("active", ANSWER_S, self._workers)
        if not answers:
            return None
        return {
            tuple(each["args"][1:]): worker
            for worker, tasks in answers
            if isinstance(tasks, list)  # else it says why it cannot tell
            for each in tasks
            if each["name"] == task_of(task) and each["args"][:1] == [run]
        }

    def ask(self, command: str, to: list[str], **words: Any) -> dict[str, Any]:
        """Send one of Celery's control commands, or of ours, to workers; their answers by name."""
        found = self._until_done(lambda: self._broadcast(command, ANSWER_S, len(to), words, to))
        return dict(found)

    def answers(
        self, command: str, answer_s: float = ANSWER_S, **words: Any
    ) -> list[tuple[str, Any]]:
        """Send one of Celery's control commands, or of ours, to all workers; each one's answer.

        Each comes with its worker's name. Several workers may have one name: they are as many
        here, where Celery's own ``inspect`` would show one of them.
        """
        return self._until_done(lambda: self._broadcast(command, answer_s, self._workers, words))

    def close(self) -> None:
        """Give connections back to kombu's pool, which serves all applications of a broker."""
        self._app.close()

    def _broadcast(
        self,
        command: str,
        answer_s: float,
        most: int | None,
        words: Mapping[str, Any] | None = None,
        to: list[str] | None = None,
    ) -> list[tuple[str, Any]]:
        """Ask, and wait for ``most`` answers or ``answer_s``."""
        found = self._app.control.broadcast(
            command, arguments=words, destination=to, reply=True, timeout=answer_s, limit=most
        )
        if not found:  # is it because no answer could come through?
            with self._app.connection_for_read() as asking:
                channel = asking.default_channel
                foreign_keys.check(channel.pool, channel.global_keyprefix)
        return [answer for each in found or () if isinstance(each, dict) for answer in each.items()]

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
