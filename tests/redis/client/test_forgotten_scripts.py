"""A server that forgets scripts as fast as they are loaded is given up in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerUnreachable
from tests.redis.private import PrivateServer, connected

PATIENCE_S = 60.0


@pytest.fixture
def clients(private: PrivateServer) -> Iterator[Servers]:
    with connected(private.url) as servers:
        yield servers


@pytest.fixture
def script() -> Script:
    """No server can know it: the name by which it is called is not its SHA-1."""
    script = Script("stray", "return 'at last'")
    vars(script)["sha"] = "0" * 40
    return script


def calls_of(servers: Servers, command: str) -> int:
    fields: dict[str, str] = dict(
        line.split(":", 1)
        for line in servers.one("INFO", "commandstats").decode().splitlines()
        if ":" in line
    )
    return int(fields[f"cmdstat_{command}"].split(",")[0].removeprefix("calls="))


def test_a_server_that_forgets_scripts_is_given_up_after_the_deadline(
    clients: Servers, script: Script
) -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnreachable, match=r"forgets scripts: within 0\.5 s"):
        clients.call([Command.call(0, script, (), ())], timeout_s=0.5)
    assert time.monotonic() - began < 5


def test_a_server_that_forgets_scripts_is_not_asked_without_a_pause(
    clients: Servers, script: Script
) -> None:
    with pytest.raises(ServerUnreachable):
        clients.call([Command.call(0, script, (), ())], timeout_s=0.5)
    # Pauses of at least 10, 20, 40, ... ms: seven of them are longer than the deadline.
    assert 2 < calls_of(clients, "evalsha") < 10


def test_a_script_that_is_loaded_for_the_first_time_needs_no_pause(clients: Servers) -> None:
    with connected(clients.addresses[0]) as hasty:
        script = Script("new", "return 'at once'")
        assert hasty.call([Command.call(0, script, (), ())], timeout_s=0) == [b"at once"]


def test_a_call_goes_on_when_the_server_remembers(
    clients: Servers, script: Script, background: ThreadPoolExecutor
) -> None:
    answer = background.submit(clients.call, [Command.call(0, script, (), ())])
    with pytest.raises(TimeoutError):
        answer.result(timeout=0.2)
    del vars(script)["sha"]
    assert answer.result(PATIENCE_S) == [b"at last"]


def test_answers_of_plain_commands_stay_while_a_script_is_unknown(
    clients: Servers, script: Script
) -> None:
    with pytest.raises(ServerUnreachable):
        clients.call(
            [Command(0, ("INCR", "times")), Command.call(0, script, (), ())], timeout_s=0.2
        )
    assert clients.one("GET", "times") == b"1"
