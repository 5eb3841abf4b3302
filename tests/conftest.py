"""Settings of the whole suite: property tests are deterministic and have no time limit each."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from distbelief.app.models import imports
from tests.native import ENGINE, build_engine
from tests.once import made_once

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")


def pytest_sessionstart() -> None:
    """Nothing of what is collected goes away again, so that no search for garbage is worth it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Ten thousand tests and all modules are not looked through again for each test's garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _imports_are_allowed_for_one_test() -> Iterator[None]:
    """A command that runs in this process allows its modules, and the next test none of them."""
    before = imports._allowed_here[:]
    yield
    imports._allowed_here[:] = before


@pytest.fixture(scope="session")
def native_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native engine, built from the sources that are here."""
    return made_once(tmp_path_factory, "engine", build_engine) / ENGINE
