"""A doctor asks a real worker: it answers from its own environment, and goes on with its work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.runs.versions import versions
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.doctor import workers
from distbelief.coordinator.doctor.findings import Severity, exit_code
from distbelief.coordinator.doctor.trials import Expected
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.runs.messages import Messages

Ask = Callable[[RunConfig], workers.Fleet]


@pytest.fixture
def ask(shared: LocalCluster, until: Callable[..., None]) -> Iterator[Ask]:
    """Has the workers of ``shared`` try a configuration."""
    broker, addresses = shared.endpoints.broker, shared.endpoints.parameter_servers
    with (
        closing(Messages(broker)) as messages,
        closing(Servers(addresses)) as servers,
    ):
        until(messages.queues_served, "the answer of a worker")
        yield lambda config: workers.gather(messages, servers, config)


def expected(
    config: RunConfig, fingerprint: str | None = None, servers: tuple[str, ...] = ()
) -> Expected:
    queues = workers.needed_work(config)
    return Expected(versions(), queues, fingerprint, servers=servers)


def test_a_worker_beside_us_has_our_versions_our_data_and_our_servers(
    ask: Ask, shared: LocalCluster
) -> None:
    config, servers = RunConfig(model="softmax"), shared.endpoints.parameter_servers
    fleet, fingerprint = ask(config), prepare(config, 1).data.fingerprint
    found = workers.judge(fleet, expected(config, fingerprint, servers))
    assert [each for each in found if each.severity is Severity.ERROR] == []
    (worker,) = fleet.workers
    assert worker.trial is not None
    assert worker.trial["fingerprint"] == fingerprint
    assert worker.trial["tensors"][1] == ["bias", [10]]
    (told,) = [each.what for each in found if "in our order" in each.what]
    assert all(f"{address} in " in told for address in servers)
    assert told.count("engine") == 2
    assert worker.clock is not None
    assert abs(worker.clock.ahead_s) < 2.0


@pytest.mark.parametrize(
    ("settings", "code", "word"),
    [
        ({"data": "/nowhere/x.csv"}, ExitCode.DATA, "/nowhere/x.csv"),
        ({"model": "nomodule:Model"}, ExitCode.MODEL, "is not allowed"),
    ],
)
def test_what_a_worker_cannot_open_is_named(
    ask: Ask, settings: dict[str, Any], code: ExitCode, word: str
) -> None:
    config = RunConfig(**settings)
    found = workers.judge(ask(config), expected(config))
    assert exit_code(found) == code
    assert any(word in each.what for each in found if each.severity is Severity.ERROR)


def test_the_command_looks_at_servers_and_workers(
    shared: LocalCluster, command: Callable[..., Any], tmp_path: Path
) -> None:
    doctor = command("doctor", "--data", "digits", "--json", endpoints=shared.endpoints)
    assert doctor.ends() == ExitCode.OK, doctor.out + doctor.err
    document = json.loads(doctor.out)
    subjects = {each["subject"].split()[0] for each in document["findings"]}
    assert subjects >= {"run", "control", "parameter", "security", "worker", "clocks", "network"}
    assert document["exit_code"] == 0
