"""Questions to workers outwait a broker that restarts: no coordinator ends for that."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from coordinator.cluster import binaries
from coordinator.runs.messages import Messages
from tests.redis.private import PrivateServer


@pytest.mark.parametrize(("ask", "nobody"), [(Messages.processes, 1), (Messages.queues_served, [])])
def test_a_question_outwaits_a_broker_that_restarts(
    ask: Callable[[Messages], object], nobody: object, background: ThreadPoolExecutor
) -> None:
    with PrivateServer(binaries.find()) as server, closing(Messages(server.url, 20.0)) as messages:
        assert ask(messages) == nobody
        server.kill()
        answer = background.submit(ask, messages)
        server.start()
        assert answer.result(20.0) == nobody
