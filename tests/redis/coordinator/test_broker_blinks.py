"""Messages and questions outwait a broker that blinks: no coordinator ends for that."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from distbelief.app.broker.messages import DOWNPOUR, tasks_in
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.runs.messages import Messages
from tests.redis.private import PrivateServer, connected

MESSAGES = 120
PAUSE_S = 0.004


@pytest.mark.parametrize(("ask", "nobody"), [(Messages.processes, 0), (Messages.queues_served, [])])
def test_a_question_outwaits_a_broker_that_restarts(
    ask: Callable[[Messages], object], nobody: object, background: ThreadPoolExecutor
) -> None:
    with PrivateServer(binaries.find()) as server, closing(Messages(server.url, 20.0)) as messages:
        assert ask(messages) == nobody
        server.kill()
        answer = background.submit(ask, messages)
        server.start()
        assert answer.result(20.0) == nobody


def test_messages_go_out_though_all_connections_are_cut_all_the_time(
    background: ThreadPoolExecutor,
) -> None:
    """With whatever a new connection begins with cut, too."""
    with PrivateServer(binaries.find()) as server, connected(server.url) as control:
        over, pauses = threading.Event(), random.Random(0)

        def cut() -> int:
            times = 0
            while not over.wait(PAUSE_S * pauses.random()):
                control.one("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                times += 1
            return times

        with closing(Messages(server.url, 20.0)) as messages:
            cuts = background.submit(cut)
            try:
                for number in range(MESSAGES):
                    messages.send(DOWNPOUR, "run", f"unit-{number}", shown="unit")
            finally:
                over.set()
            assert cuts.result(20.0) > MESSAGES / 10
        queue = control.one("LRANGE", f"{CELERY_PREFIX}{DOWNPOUR}", 0, -1)
        # One whose reply was cut off may be there twice.
        assert {each.arguments for each in tasks_in(queue)} == {
            (f"unit-{number}",) for number in range(MESSAGES)
        }
