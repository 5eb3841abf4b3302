"""Counts the worker processes that are there for a run, as they come and go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from distbelief.app.errors import ServerError
from distbelief.app.runs.renewal import Renewal
from distbelief.coordinator.runs.messages import ANSWER_S
from distbelief.coordinator.runs.session import Session

#: Seconds from one count to the next.
COUNT_S = 5.0


@contextmanager
def counting(session: Session) -> Iterator[None]:
    """Keep ``session.processes`` what it is, as long as this is open.

    On a thread: a worker that is gone and still on the roster is waited for.
    """

    def count() -> bool:
        with suppress(ServerError):  # the training itself waits for the server, and says so
            session.processes = session.count_processes()
        return True

    renewal = Renewal("head count", COUNT_S, count)
    try:
        yield
    finally:
        renewal.stop(2 * ANSWER_S)
