"""A data cache of our own, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from distbelief.app.models import imports
from distbelief.coordinator.commands import cli

Run = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """The exit code of a command, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data sets are converted once for all these tests; the developer's servers are not used."""
    folder = tmp_path_factory.getbasetemp() / "unit-cache"
    monkeypatch.setenv("DISTBELIEF_CACHE", str(folder))
    monkeypatch.setattr(imports, "_allowed_here", [])
    for variable in ("BROKER", "PARAMETER_SERVERS", "ALLOWED_IMPORTS"):
        monkeypatch.setenv(f"DISTBELIEF_{variable}", "")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``distbelief`` with arguments, in this process."""

    def run_command(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["distbelief", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.run()
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Answer(int(code), printed.out, printed.err)

    return run_command
