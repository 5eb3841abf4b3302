"""Doctors say which broker is used, who named it, and who would have named another."""

from __future__ import annotations

from pathlib import Path

import pytest

from distbelief.app.broker.application import FOREIGN
from distbelief.app.settings import environment
from distbelief.coordinator.commands.run_flags import broker_source
from distbelief.coordinator.doctor import broker
from distbelief.coordinator.doctor.findings import Severity

URL = "redis://user:secret@host:6379/2"
SHOWN = "redis://host:6379/2"


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (environment.BROKER, f"{environment.BROKER}_FILE", *FOREIGN):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that names the broker, a variable that does, and a TOML file."""
    (tmp_path / "secret").write_text(URL)
    (tmp_path / "run.toml").write_text(f'broker = "{URL}"\n')
    (tmp_path / "other.toml").write_text("seed = 1\n")
    monkeypatch.setenv(f"{environment.BROKER}_FILE", str(tmp_path / "secret"))
    return tmp_path


def test_the_source_is_what_goes_first(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml, other = str(told / "run.toml"), str(told / "other.toml")
    assert broker_source(toml, {"broker": URL}) == "--broker"
    assert broker_source(toml, {"broker": None}) == toml
    assert broker_source(other, {}) == f"DISTBELIEF_BROKER_FILE ({told / 'secret'})"
    monkeypatch.setenv(environment.BROKER, URL)
    assert broker_source(None, {}) == "DISTBELIEF_BROKER"
    monkeypatch.delenv(environment.BROKER)
    monkeypatch.delenv(f"{environment.BROKER}_FILE")
    assert broker_source(None, {}) == ""


def test_the_address_and_its_source_are_told_without_the_password() -> None:
    (found,) = broker.judge(URL, "--broker")
    assert (found.severity, found.what) == (Severity.OK, f"{SHOWN}, from --broker")


def test_without_one_everything_is_started_here() -> None:
    (found,) = broker.judge(None, "")
    assert found.what.endswith("servers and workers are started here")


@pytest.mark.parametrize("variable", FOREIGN)
def test_a_variable_of_celerys_is_named_as_not_used(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "amqp://user:secret@theirs")
    _, found = broker.judge(URL, "--broker")
    assert (found.severity, found.what) == (Severity.NOTE, f"{variable} is set, and not used")
    assert "secret" not in str(found)
