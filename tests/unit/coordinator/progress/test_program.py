"""Messages and help name the program as it was started: what they say can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.progress.program import command, program

ROOT = Path(__file__).parents[4]

#: As pip writes the command of an installed package.
INSTALLED = "import sys; from distbelief.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("started", "name"),
    [
        (["-m", "coordinator"], "python -m coordinator"),
        (["-m", "distbelief"], "python -m distbelief"),
        (["-c", INSTALLED], "distbelief"),
    ],
)
def test_help_names_the_program_as_it_was_started(started: list[str], name: str) -> None:
    answer = subprocess.run(
        [sys.executable, *started, "stop", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stdout.startswith(f"Usage: {name} stop ")
    assert re.search(rf"^Example:\n  {name} stop 2", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("distbelief.__main__", "python -m distbelief"),
        ("coordinator.__main__", "python -m coordinator"),
        ("mytraining", "distbelief"),  # python -m mytraining
        ("mytraining.coordinator.__main__", "distbelief"),
        ("__main__", "distbelief"),  # python folder
        (None, "distbelief"),  # a script, a notebook
    ],
)
def test_a_program_that_imports_us_is_told_of_the_command(
    module: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = None if module is None else ModuleSpec(module, None)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    assert program() == name


@pytest.mark.parametrize("folder", ["elsewhere", "a b/$HOME's", Path("/x")])
def test_a_command_names_the_folder_of_its_runs_as_a_shell_reads_it(folder: str | Path) -> None:
    words = shlex.split(command("resume", "RUN", folder=folder))
    assert words[-4:] == ["resume", "RUN", "--folder", str(folder)]


@pytest.mark.parametrize("folder", [ClusterConfig().folder, "./runs"])
def test_a_command_leaves_the_folder_out_that_is_the_default(folder: str) -> None:
    assert command("resume", "RUN", folder=folder) == f"{program()} resume RUN"
