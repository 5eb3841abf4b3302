"""Folders called name=value, as Hive and Spark write tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def table(folder: Path, *, quoted: bool = False) -> Path:
    (folder / "_SUCCESS").parent.mkdir(parents=True, exist_ok=True)
    (folder / "_SUCCESS").touch()
    for year in (2023, 2024):
        for town in ("Bonn", "K%C3%B6ln, Mitte"):
            part = folder / f"year={year}" / f"town={town}"
            part.mkdir(parents=True)
            name = '"a, b"' if quoted else "ab"
            part.joinpath("part-0.csv").write_text(f"x,name,y\n{year % 10},{name},yes\n9,c,no\n")
    return folder


@pytest.mark.parametrize("quoted", [False, True])
def test_a_partition_is_a_column(read: Any, tmp_path: Path, quoted: bool) -> None:
    found = read(table(tmp_path / "t", quoted=quoted), target="y")
    lines = [
        f'{x},{name},{y},{year},"{town}"'
        for year in (2023, 2024)
        for town in ("Bonn", "Köln, Mitte")
        for x, name, y in ((year % 10, '"a, b"' if quoted else "ab", "yes"), (9, "c", "no"))
    ]
    (tmp_path / "flat.csv").write_text("\n".join(["x,name,y,year,town", *lines]))
    flat = read(tmp_path / "flat.csv", target="y")
    assert found.columns.names == ("x", "year", "name", "town") == flat.columns.names
    assert found.targets == flat.targets
    assert np.array_equal(found.features, flat.features)


def test_a_partition_may_be_the_target(read: Any, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / f"label={label}").mkdir()
        (tmp_path / f"label={label}" / "a.csv").write_text("x\n1\n2\n")
    with pytest.raises(Exception, match="only one column"):
        read(tmp_path / "label=cat")
    assert read(tmp_path).targets == ["cat", "cat", "dog", "dog"]


def test_partitions_of_parquet_files_are_those_of_csv_files(read: Any, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    rows = {"x": [1.0, 2, 3], "y": ["a", "b", "a"], "n": [2, 1, 1], "c": ["u", "v", None]}
    flavour = dataset.partitioning(
        arrow.schema([("n", arrow.int64()), ("c", arrow.string())]), flavor="hive"
    )
    dataset.write_dataset(arrow.table(rows), tmp_path / "t", format="parquet", partitioning=flavour)
    found = read(tmp_path / "t", buckets=16)
    assert found.columns.names == ("x", "n", "c")
    order = np.argsort(found.features[:, 0])
    assert found.features[order, :2].tolist() == [[1, 2], [2, 1], [3, 1]]
    assert [found.targets[i] for i in order] == ["a", "b", "a"]
    (tmp_path / "flat.csv").write_text("x,y,n,c\n1,a,2,u\n2,b,1,v\n3,a,1,\n")
    flat = read(tmp_path / "flat.csv", buckets=16)
    assert np.array_equal(found.features[order], flat.features)


def test_folders_that_do_not_fit_are_refused(read: Any, refuses: Any, tmp_path: Path) -> None:
    table(tmp_path / "t")
    (tmp_path / "t" / "year=2022").mkdir()
    (tmp_path / "t" / "year=2022" / "a.csv").write_text("x,name,y\n1,a,no\n")
    with refuses("all files must lie in folders of the same name=value"):
        read(tmp_path / "t")
    (tmp_path / "u" / "n=1").mkdir(parents=True)
    (tmp_path / "u" / "n=1" / "a.csv").write_text("1,2\n")
    with refuses("files in folders name=value must have a header"):
        read(tmp_path / "u", header=False)
    assert read(f"{tmp_path}/u/n=*/a.csv", header=False).targets == ["2"]
