"""What is read is not written over, however it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from distbelief.app.datasets.reading.sparing import spare
from distbelief.app.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "day=1").mkdir(parents=True)
    (tmp_path / "data" / "day=1" / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "link.csv").symlink_to("data/day=1/a.csv")
    return tmp_path / "data"


@pytest.mark.parametrize("source", ["day=1/a.csv", "day=1", ".", "day=*/*.csv", "../link.csv"])
def test_a_file_of_the_data_is_not_replaced(folder: Path, source: str) -> None:
    for named in (f"{folder}/{source}", f"file://{folder}/{source}"):
        with pytest.raises(ConfigError, match="it would replace what is read from"):
            spare(folder / "day=1" / "a.csv", [None, "digits", named])


@pytest.mark.parametrize("source", ["day=1/a.csv", "day=*/*.csv", "no/such*"])
def test_other_files_are_no_matter(folder: Path, source: str) -> None:
    (folder.parent / "model").touch()
    for output in (folder.parent / "model", folder.parent / "new.csv"):
        spare(output, [f"{folder}/{source}", "digits", "s3://bucket/model", None])
