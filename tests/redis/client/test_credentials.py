"""URLs from a file: their passwords are those that the file has when somebody connects."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from distbelief.app.client.credentials import credentials_for
from distbelief.app.client.servers import Servers
from distbelief.app.errors import AuthenticationFailed, ConfigError
from distbelief.app.settings import environment
from distbelief.app.settings.environment import broker_url, parameter_server_urls
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.runs.messages import Messages
from tests.redis.private import PrivateServer
from tests.redis.programs import existing

USER = "trainer"
DEADLINE_S = 60.0


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    with PrivateServer(existing(binaries.bundled())) as server:
        yield server


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of both variables."""
    monkeypatch.setattr(environment, "_files", {})
    for variable in (environment.BROKER, environment.PARAMETER_SERVERS):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "urls"))
    return tmp_path / "urls"


def change(server: PrivateServer, password: str) -> None:
    with closing(Servers([server.url])) as admin:
        rights = ("reset", "on", "allkeys", "allchannels", "+@all", f">{password}")
        admin.one("ACL", "SETUSER", USER, *rights)
        for kind in ("normal", "pubsub"):
            admin.one("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def url(server: PrivateServer, password: str) -> str:
    return f"redis://{USER}:{password}@127.0.0.1:{server.port}"


def test_a_changed_password_is_found_in_the_file(server: PrivateServer, file: Path) -> None:
    change(server, "one")
    file.write_text(url(server, "one"))
    with closing(Servers(parameter_server_urls(), deadline_s=DEADLINE_S)) as servers:
        assert servers.one("PING") == b"PONG"
        file.write_text(url(server, "two"))
        change(server, "two")
        assert servers.one("PING") == b"PONG"
        servers.hurry(DEADLINE_S)
        assert servers.only(0).one("PING") == b"PONG"


def test_a_password_that_reaches_the_file_later_is_waited_for(
    server: PrivateServer, file: Path, background: ThreadPoolExecutor
) -> None:
    change(server, "one")
    file.write_text(url(server, "one"))
    with closing(Servers(parameter_server_urls(), deadline_s=DEADLINE_S)) as servers:
        assert servers.one("PING") == b"PONG"
        change(server, "two")
        call = background.submit(servers.one, "PING")
        with pytest.raises(TimeoutError):
            call.result(0.3)
        file.write_text(url(server, "two"))
        assert call.result(DEADLINE_S) == b"PONG"


def test_one_that_never_comes_ends_the_wait(server: PrivateServer, file: Path) -> None:
    change(server, "one")
    file.write_text(url(server, "one"))
    with closing(Servers(parameter_server_urls(), deadline_s=0.3)) as servers:
        servers.one("PING")
        change(server, "two")
        with pytest.raises(AuthenticationFailed, match="refused the user name or password"):
            servers.one("PING")


def test_a_wrong_password_at_the_beginning_is_refused_at_once(
    server: PrivateServer, file: Path
) -> None:
    change(server, "one")
    file.write_text(url(server, "wrong"))
    with (
        closing(Servers(parameter_server_urls(), deadline_s=100 * DEADLINE_S)) as servers,
        pytest.raises(AuthenticationFailed),
    ):
        servers.one("PING")


@pytest.mark.parametrize("left", [None, "", "nonsense", "redis://trainer:other@elsewhere:1"])
def test_a_file_that_names_the_server_no_more_leaves_the_last_password(
    server: PrivateServer, file: Path, left: str | None
) -> None:
    change(server, "one")
    file.write_text(url(server, "one"))
    with closing(Servers(parameter_server_urls(), deadline_s=DEADLINE_S)) as servers:
        servers.one("PING")
        if left is None:
            file.unlink()
        else:
            file.write_text(left)
        change(server, "one")
        assert servers.one("PING") == b"PONG"


def test_each_server_has_its_own_line_of_the_file(file: Path) -> None:
    file.write_text("redis://a:1@one:1,redis://:2@two:1,unix://c:3@/three.sock,redis://four:1")
    found = [credentials_for(each) for each in parameter_server_urls()]
    assert [each.get_credentials() for each in found if each is not None] == [
        ("a", "1"),
        ("2",),
        ("c", "3"),
        (),
    ]


def test_a_url_of_a_flag_or_a_variable_is_as_it_was_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("redis://:new@one:1")
    parameter_server_urls()
    assert credentials_for("redis://:old@one:1") is None
    monkeypatch.setenv(environment.BROKER, "redis://:variable@one:1")
    assert credentials_for(broker_url()) is None


def test_messages_go_out_after_the_password_has_changed(server: PrivateServer, file: Path) -> None:
    change(server, "one")
    file.write_text(url(server, "one"))
    with closing(Messages(broker_url(), DEADLINE_S)) as messages:
        messages.send("downpour", "run", "unit-0", shown="unit")
        file.write_text(url(server, "two"))
        change(server, "two")
        messages.send("downpour", "run", "unit-1", shown="unit")
        assert messages.queues_served(0.1) == []


class Tokens:
    """A provider as clouds have them: its tokens change by themselves."""

    token = "one"
    asked = 0

    def get_credentials(self) -> tuple[str, str]:
        Tokens.asked += 1
        return USER, Tokens.token


class Nothing:
    """No provider."""


def provided(server: PrivateServer, name: str) -> str:
    return f"redis://127.0.0.1:{server.port}?credential_provider={__name__}:{name}"


def test_a_provider_is_asked_whenever_somebody_connects(server: PrivateServer) -> None:
    url = provided(server, "Tokens")
    change(server, "one")
    with (
        closing(Servers([url], deadline_s=DEADLINE_S)) as servers,
        closing(Messages(url, DEADLINE_S)) as messages,
    ):
        assert servers.one("ACL", "WHOAMI").decode() == USER
        messages.enable_events()
        Tokens.token = "two"
        change(server, "two")
        assert servers.one("ACL", "WHOAMI").decode() == USER
        messages.enable_events()
        assert Tokens.asked > 2
    Tokens.token = "one"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("tokens", "has no attribute 'tokens'"),
        ("Nothing", "no get_credentials"),
        ("Tokens:x", "has no attribute 'Tokens:x'"),
    ],
)
def test_what_is_no_provider_is_refused(server: PrivateServer, name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Servers([provided(server, name)])
