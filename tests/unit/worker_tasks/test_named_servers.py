"""The parameter servers that a run names, as a worker takes them."""

from __future__ import annotations

import pytest

from distbelief.app.errors import WorkerMismatch
from distbelief.worker_tasks.agreement import named_servers

CONTROL = "redis://worker:secret@control:7000/1"


@pytest.fixture(autouse=True)
def control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_BROKER", CONTROL)


def test_the_control_server_is_called_as_this_worker_knows_it() -> None:
    assert named_servers(["redis://control:7000/1", "redis://control:7001/0"]) == (
        CONTROL,
        "redis://control:7001/0",
    )


def test_options_and_passwords_of_whoever_wrote_the_record_are_left_out() -> None:
    (found,) = named_servers(["redis://control:7001/0?credential_provider=os:system"])
    assert "credential_provider" not in found


def test_servers_on_other_machines_are_not_called() -> None:
    with pytest.raises(WorkerMismatch, match="redis://elsewhere:7000/0 because a run says so"):
        named_servers(["redis://elsewhere:7000/0"])


def test_the_ledger_may_be_apart_from_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_BROKER", "amqp://rabbit")
    monkeypatch.setenv("DISTBELIEF_CONTROL", CONTROL)
    assert named_servers(["redis://control:7000/1"]) == (CONTROL,)
