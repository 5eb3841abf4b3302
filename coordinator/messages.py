"""Celery's messages to workers, by an application of the coordinator's own.

Celery's current application keeps the broker it saw first; one process may train on
several clusters, one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.exceptions import OperationalError

from app.celery import make_app
from app.errors import ServerUnreachable
from app.urls import address

PUBLISH_RETRIES = {"max_retries": 5, "interval_start": 0.2, "interval_max": 2.0}

#: How long workers have to answer a question.
ANSWER_S = 1.0


class Messages:
    """Sends tasks to workers, and asks who is there.

    Every method raises ServerUnreachable if the broker does not answer.
    """

    def __init__(self, broker: str) -> None:
        self.address = address(broker)
        self._app = make_app(broker)

    def send(self, task: str, *arguments: str | int) -> None:
        """Publish a message for the task ``distbelief.<task>``."""
        with self._translated():
            self._app.send_task(
                f"distbelief.{task}",
                arguments,
                retry=True,
                retry_policy=PUBLISH_RETRIES,
            )

    def queues_served(self) -> list[set[str]]:
        """For each worker that answers, the queues it listens on."""
        with self._translated():
            answers = self._inspect().active_queues() or {}
        return [{queue["name"] for queue in queues} for queues in answers.values()]

    def processes(self) -> int:
        """Processes of all workers that answer; at least 1."""
        with self._translated():
            answers = self._inspect().stats() or {}
        return max(1, sum(int(each["pool"]["max-concurrency"]) for each in answers.values()))

    def at_work(self, task: str, run: str) -> bool:
        """Whether a worker says that it is doing a task of this run right now."""
        with self._translated():
            answers = self._inspect().active() or {}
        doing = [each for tasks in answers.values() for each in tasks]
        return any(
            each["name"] == f"distbelief.{task}" and each["args"][:1] == [run] for each in doing
        )

    def close(self) -> None:
        """Give connections back to kombu's pool, which serves all applications of a broker."""
        self._app.close()

    def _inspect(self) -> Any:
        return self._app.control.inspect(timeout=ANSWER_S)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, redis.RedisError, OSError) as error:
            raise ServerUnreachable(f"{self.address} takes no messages: {error}") from error
