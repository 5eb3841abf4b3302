"""Files with given content, and everything that a reader makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.chunks import Columns, CsrRows
from distbelief.app.datasets.examples.faults import Fault
from distbelief.app.datasets.formats.registry import open_reader
from distbelief.app.datasets.reading import lines
from distbelief.app.datasets.reading.reader import Reader
from distbelief.app.datasets.reading.use import Use
from distbelief.app.errors import DataError


@dataclass(frozen=True)
class Everything:
    """All chunks of a reader in one."""

    features: Any  # (n_examples, n_features), dense
    targets: list[Any] | None
    columns: Columns
    skipped: list[Fault]
    n_chunks: int
    reader: Reader


Read = Callable[..., Everything]
Refuses = Callable[[str], "pytest.RaisesExc[DataError]"]


def dense(features: Any, n_features: int) -> Any:
    if not isinstance(features, CsrRows):
        return features
    matrix = np.zeros((len(features), n_features), np.float32)
    rows = np.repeat(np.arange(len(features)), np.diff(features.indptr))
    matrix[rows, features.indices] = features.values
    return matrix


def read_everything(source: Any, *, labelled: bool = True, **options: Any) -> Everything:
    reader = open_reader(str(source), options, use=Use(labelled=labelled))
    chunks = list(reader)
    parts = [dense(chunk.features, reader.columns.n_features) for chunk in chunks]
    targets = [target for chunk in chunks if chunk.targets is not None for target in chunk.targets]
    return Everything(
        np.concatenate(parts),
        targets if labelled else None,
        reader.columns,
        list(reader.skipped),
        len(chunks),
        reader,
    )


@pytest.fixture(scope="session")
def read() -> Read:
    return read_everything


@pytest.fixture(scope="session")
def read_or_refuse() -> Callable[..., Everything | None]:
    """Everything, or None where the file is refused with a message that begins with its name."""

    def attempt(source: Any, **options: Any) -> Everything | None:
        try:
            return read_everything(source, **options)
        except DataError as error:
            message = str(error)
        assert message.startswith(f"{source}: ")
        return None

    return attempt


@pytest.fixture(scope="session")
def refuses() -> Refuses:
    return lambda complaint: pytest.raises(DataError, match=re.escape(complaint))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for property tests, which write their files over and over."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 16)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 100)
