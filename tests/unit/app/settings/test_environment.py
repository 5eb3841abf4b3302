"""Where servers are is told by variables, or by files that variables name."""

from __future__ import annotations

from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.settings import environment
from distbelief.app.settings.environment import (
    BROKER,
    KEY_PREFIX,
    PARAMETER_SERVERS,
    with_key_prefix,
)

URL = "redis://:secret@host:6379/0"


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_PREFIX, raising=False)
    for variable in (BROKER, PARAMETER_SERVERS):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(f"{variable}_FILE", raising=False)


def test_without_a_word_the_broker_is_on_this_machine_and_there_are_no_parameter_servers() -> None:
    assert environment.named_broker() is None
    assert environment.broker_url() == environment.DEFAULT_BROKER
    assert environment.parameter_server_urls() == ()


def test_a_file_says_what_the_variable_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{URL}, redis://other:1\n")
    monkeypatch.setenv(f"{PARAMETER_SERVERS}_FILE", str(file))
    assert environment.parameter_server_urls() == (URL, "redis://other:1")


def test_the_variable_itself_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{BROKER}_FILE", str(tmp_path / "none"))
    monkeypatch.setenv(BROKER, URL)
    assert environment.broker_url() == URL


def test_an_empty_file_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("\n")
    monkeypatch.setenv(f"{BROKER}_FILE", str(file))
    assert environment.named_broker() is None


def test_a_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"{BROKER}_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=f"{BROKER}_FILE names {tmp_path}/none"):
        environment.broker_url()


@pytest.mark.parametrize("variable", [BROKER, PARAMETER_SERVERS])
@pytest.mark.parametrize("secret", ["redis://:hunter2@host", "redis:/:hunter2@host", "x://hunter2"])
def test_a_secret_where_a_file_name_belongs_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, variable: str, secret: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(f"{variable}_FILE", secret)
    with pytest.raises(ConfigError, match=f"{variable}_FILE holds what looks like a URL") as raised:
        environment._told(variable)
    assert "hunter2" not in str(raised.value)


def test_what_is_in_a_file_that_holds_no_url_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.delenv(BROKER, raising=False)
    monkeypatch.setenv(f"{BROKER}_FILE", str(tmp_path / "password"))
    with pytest.raises(ConfigError, match="in which there is something else than a URL") as raised:
        environment.broker_url()
    assert "hunter2" not in str(raised.value)


def test_a_workers_servers_have_its_prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("redis://one?db=1, redis://two")
    monkeypatch.setenv(f"{PARAMETER_SERVERS}_FILE", str(file))
    monkeypatch.setenv(KEY_PREFIX, "team1:")
    urls = ("redis://one?db=1&key_prefix=team1:", "redis://two?key_prefix=team1:")
    assert environment.workers_parameter_servers() == urls
    assert [environment.file_of(url) for url in urls] == [file, file]
    assert environment.broker_url() == f"{environment.DEFAULT_BROKER}?key_prefix=team1:"


@pytest.mark.parametrize("prefix", ["{team}", "a*", "a b", "x" * 65])
def test_what_would_be_read_as_something_else_is_no_prefix(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(KEY_PREFIX, prefix)
    with pytest.raises(ConfigError, match=f"{KEY_PREFIX} = .* is not allowed: it must have"):
        environment.named_key_prefix()


def test_two_prefixes_are_one_too_many() -> None:
    url = with_key_prefix("redis://h", "a:")
    assert with_key_prefix(url, "a:") == url
    with pytest.raises(ConfigError, match="key_prefix=a:, and the prefix of keys is set to b:"):
        with_key_prefix(url, "b:")
