"""The native engine as the sanitizers see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native import ENGINE, SANITIZED, build_engine
from tests.once import made_once


@pytest.fixture(scope="session")
def sanitized_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once for all: it ends its server at any wrong access of memory."""

    def build(folder: Path) -> None:
        build_engine(folder, *SANITIZED)

    return made_once(tmp_path_factory, "sanitized-engine", build) / ENGINE
