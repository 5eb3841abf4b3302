"""Tells whoever starts workers how many a training has work for, from before any is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerError
from distbelief.app.layout.keys import WANTED
from distbelief.app.runs.demand import HOLDS_S, want
from distbelief.app.runs.renewal import RENEWALS_PER_LEASE, Renewal


@contextmanager
def demand(
    control: Servers,
    run: str,
    processes: Callable[[], int],
    say: Callable[[str], None],
    going_on: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Want as many processes as long as this is open as ``processes`` says each time.

    ``going_on`` says at the end that somebody will go on with the run at once: then it holds for
    a while longer. A server that does not let us is told of, and no reason not to train.
    """
    try:
        want(control, run, processes())
    except ServerError as error:
        say(f"warning: {WANTED} does not say that {processes()} processes are wanted: {error}")
        yield
        return

    def again() -> bool:
        with suppress(ServerError):  # the training itself waits for the server, and says so
            want(control, run, processes())
        return True

    renewal = Renewal("demand", HOLDS_S / RENEWALS_PER_LEASE, again)
    try:
        yield
    finally:
        renewal.stop(HOLDS_S)
        if not going_on():
            with suppress(ServerError):
                want(control, run, 0)
