"""The door for workers: an address that is none ends Celery's command with our sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distbelief.app.errors import ExitCode

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0

FAULTS = {
    "DISTBELIEF_BROKER_FILE": ("/nowhere/secret", "DISTBELIEF_BROKER_FILE names /nowhere/secret"),
    "DISTBELIEF_BROKER": ("amqp://host", "the broker is amqp://..., which is no Redis"),
}


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: each for name, each in os.environ.items() if name not in FAULTS}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**inherited, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


@pytest.mark.parametrize("variable", FAULTS)
@pytest.mark.parametrize("package", ["distbelief", "app"])
def test_celerys_command_ends_with_one_sentence(package: str, variable: str) -> None:
    value, words = FAULTS[variable]
    ended = run("-m", "celery", "-A", package, "worker", **{variable: value})
    assert ended.returncode == ExitCode.USAGE
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith(f"error: {words}")


@pytest.mark.parametrize("variable", FAULTS)
def test_a_program_gets_the_error(variable: str) -> None:
    value, words = FAULTS[variable]
    ended = run("-c", "import distbelief.celery as door; door.app", **{variable: value})
    assert ended.returncode == 1
    assert f"ConfigError: {words}" in ended.stderr


@pytest.mark.parametrize("variable", FAULTS)
def test_importing_asks_for_no_address(variable: str) -> None:
    ended = run("-c", "import distbelief.celery, distbelief", **{variable: FAULTS[variable][0]})
    assert (ended.returncode, ended.stderr) == (0, "")
