"""Messages that wait in Celery's queue are known by their arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.messages import Messages
from distbelief.coordinator.runs.session import Session
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import PROGRAMS, existing


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_messages_of_a_run_that_wait_are_known_by_their_arguments(
    program: ServerProgram | None,
) -> None:
    with PrivateServer(existing(program)) as server, connected(server.url) as control:
        messages = Messages(server.url)
        record = cast("Any", SimpleNamespace(run="run"))
        session = Session(record, control, control, messages, Leader(control, "run", 10.0))
        assert session.waiting("sandblaster") == set()
        messages.send("sandblaster", "run", 1, 17, shown="17")
        messages.send("sandblaster", "run", 1, 18, shown="18")
        messages.send("sandblaster", "another run", 1, 19, shown="19")
        messages.send("downpour", "run", "downpour-0-200", shown="unit")
        for odd in ("oops", "[]", "{}", '{"body": "W10="}', "[" * 100_000, b"\xff"):
            control.one("LPUSH", f"{CELERY_PREFIX}sandblaster", odd)
        assert session.waiting("sandblaster") == {(1, 17), (1, 18)}
        assert session.waiting("downpour") == {("downpour-0-200",)}
        assert messages.calls("sandblaster", "run", begun=True) is None  # there is no worker
        messages.close()
