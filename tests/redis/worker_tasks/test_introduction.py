"""A worker looks at real servers, with its own addresses, and finds the coordinator's marks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerUnreachable, WorkerMismatch
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.environment import PARAMETER_SERVERS
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.doctor import introductions
from distbelief.coordinator.doctor.preflight import check_workers
from distbelief.coordinator.runs.messages import Messages
from distbelief.worker_tasks.introduction import introduce
from tests.redis.private import PrivateServer, connected, free_port

HERE = Identity.here()


class Worker:
    """Messages to one worker, which is this process."""

    def ask(self, command: str, to: list[str], **words: Any) -> dict[str, Any]:
        assert command == "introduce"
        return {name: introduce(**words) for name in to}


WORKER = cast("Messages", Worker())


@pytest.fixture
def servers(program: ServerProgram) -> Iterator[Servers]:
    with (
        PrivateServer(program) as first,
        PrivateServer(program) as second,
        connected(first.url, second.url) as clients,
    ):
        yield clients


def told(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setenv(PARAMETER_SERVERS, ",".join(urls))


def test_a_worker_with_our_servers_is_welcome_and_no_mark_stays(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, *servers.addresses)
    check_workers(WORKER, servers, ["w@h"], HERE, print)
    answers, marked = introductions.introduce(WORKER, servers, ["w@h"])
    assert marked == {0, 1}
    assert [each["marks"] for each in answers["w@h"]["servers"]] == [[0], [1]]
    assert [servers.one("DBSIZE", server=index) for index in (0, 1)] == [0, 0]


def test_a_worker_without_addresses_of_its_own_takes_ours(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PARAMETER_SERVERS, raising=False)
    check_workers(WORKER, servers, ["w@h"], HERE, print)


def test_another_order_ends_the_training(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, *reversed(servers.addresses))
    with pytest.raises(WorkerMismatch, match=r"its number 1 \(.*\) is number 2 of the coordinator"):
        check_workers(WORKER, servers, ["w@h"], HERE, print)


def test_a_server_that_a_worker_cannot_reach_is_named_within_seconds(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    told(monkeypatch, servers.addresses[0], nobody)
    began = time.monotonic()
    with pytest.raises(ServerUnreachable, match=f"cannot use parameter server 2 .*{nobody}"):
        check_workers(WORKER, servers, ["w@h"], HERE, print)
    assert time.monotonic() - began < 4


def test_other_code_ends_the_training(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, *servers.addresses)
    with pytest.raises(WorkerMismatch, match="runs other code"):
        check_workers(WORKER, servers, ["w@h"], Identity("1", "abc"), print)


def test_a_user_that_may_not_set_leaves_the_order_unchecked_which_is_told(
    program: ServerProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PrivateServer(program) as private, connected(private.url) as servers:
        servers.one("ACL", "SETUSER", "default", "-set")
        told(monkeypatch, private.url)
        _, marked = introductions.introduce(WORKER, servers, ["w@h"])
        assert marked == set()
        said: list[str] = []
        check_workers(WORKER, servers, ["w@h"], HERE, said.append)
        assert said[0].startswith(f"warning: whether workers find {servers.addresses[0]} in the")
