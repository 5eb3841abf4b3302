"""A key of a queue that a stranger took: each says so once, and other queues are served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from distbelief.app.broker.foreign_keys import BINDINGS
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode, ServerRefused
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.doctor import examination
from distbelief.coordinator.doctor.findings import Severity
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.fleets import workers

Until = Callable[..., None]

QUEUE = f"{CELERY_PREFIX}downpour"
ANSWERS = f"{CELERY_PREFIX}{BINDINGS}reply.celery.pidbox"


def test_a_key_of_a_foreign_type_is_named_and_the_other_queues_are_served(
    fleet: LocalCluster, control: Servers, until: Until
) -> None:
    def served(queue: str) -> bool:
        return not control.one("LLEN", f"{CELERY_PREFIX}{queue}")

    control.one("DEL", QUEUE, ANSWERS)
    control.one("SET", QUEUE, "x")
    control.one("HSET", ANSWERS, "x", "y")
    with (
        workers(fleet, "worker") as (worker,),
        closing(Messages(fleet.endpoints.broker)) as messages,
    ):
        until(lambda: f"the key {QUEUE} is a string" in worker.log.read_text(), "a sentence")
        messages.send("evaluation", "no-such-run", "unit", shown="unit")
        until(lambda: served("evaluation"), "a message of another queue taken")
        with pytest.raises(ServerRefused, match=f"{QUEUE} is a string.*DEL {QUEUE}"):
            messages.send("downpour", "no-such-run", "unit", shown="unit")

        cluster = ClusterConfig(
            broker=fleet.endpoints.broker, parameter_servers=fleet.endpoints.parameter_servers
        )
        found = examination.examine(RunConfig(), cluster, described=False)
        bad = [each for each in found if each.subject == "messages"]
        assert [(each.severity, each.code) for each in bad] == [
            (Severity.ERROR, ExitCode.SERVER)
        ] * 2
        assert QUEUE in bad[0].what
        assert ANSWERS in bad[1].what

        control.one("DEL", QUEUE, ANSWERS)
        messages.send("downpour", "no-such-run", "unit", shown="unit")
        until(lambda: served("downpour"), "the message of the queue that is one again taken")
        text = worker.log.read_text()
        assert text.count(f"the key {QUEUE}") == text.count(f"the key {ANSWERS}") == 1
        assert "Traceback" not in text
