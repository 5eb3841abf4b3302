"""Files that announce other sizes than they hold, or more than memory: measured before believed."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.reading import arrow, whole_files
from distbelief.app.errors import DataError

MB = 1 << 20


@pytest.fixture
def peak(tmp_path: Path) -> Callable[[Path, str], int]:
    """Opens a file, which must be refused with those words; returns the most memory it took."""

    def refuse(path: Path, words: str) -> int:
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=words):
                open_cached(str(path), {}, tmp_path / "cache")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return refuse


def write_images(folder: Path, announced: tuple[int, int, int], n_bytes: int) -> Path:
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", *announced)
    with gzip.open(folder / "a-images-idx3-ubyte.gz", "wb", compresslevel=1) as stream:
        stream.write(header + bytes(n_bytes))
    labels = bytes((0, 0, 8, 1)) + struct.pack(">I", announced[0]) + bytes(min(announced[0], 9))
    (folder / "a-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder / "a-images-idx3-ubyte.gz"


def write_arrays(path: Path, shape: tuple[int, ...], n_bytes: int, kind: int) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, each, size in (("x", shape, n_bytes), ("y", (4,), 32)):
            with archive.open(f"{name}.npy", "w") as stream:
                header = {"descr": "<f8", "fortran_order": False, "shape": each}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.write(bytes(size))
    return path


def test_images_that_hold_more_than_they_announce_are_not_unpacked(
    tmp_path: Path, peak: Any
) -> None:
    path = write_images(tmp_path, (1, 2, 2), 64 * MB)
    assert peak(path, "announces 1 x 2 x 2 bytes and holds more") < 4 * MB


@pytest.mark.parametrize("announced", [(60_000, 28, 28), (2**32 - 1, 2**32 - 1, 1)])
def test_images_that_a_file_is_too_small_for_are_not_made_room_for(
    tmp_path: Path, peak: Any, announced: Any
) -> None:
    path = write_images(tmp_path, announced, 4)
    assert peak(path, "announces an array of .* which its [0-9]+ bytes cannot hold") < 4 * MB


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("shape", "n_bytes"), [((4, 10**13), 64), ((4, 2), 64 * MB), ((2**62, 2**62), 0), ((4, -2), 64)]
)
def test_arrays_of_another_size_than_they_announce_are_refused_unread(
    tmp_path: Path, peak: Any, shape: Any, n_bytes: int, kind: int
) -> None:
    path = write_arrays(tmp_path / "a.npz", shape, n_bytes, kind)
    assert peak(path, r"a\.npz: the (array x announces|member x is not)") < 4 * MB


def test_what_does_not_fit_the_memory_that_is_left_is_refused_with_what_to_do(
    tmp_path: Path, peak: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_files, "available_memory", lambda: MB)
    words = "takes .* and 1.05 MB of memory are left here: write it as .npy or .parquet"
    arrays = write_arrays(tmp_path / "a.npz", (4, 20_000), 640_000, zipfile.ZIP_DEFLATED)
    assert peak(arrays, f"holds an array of 640 kB.*{words}") < 4 * MB
    images = write_images(tmp_path, (9, 200, 200), 360_000)
    assert peak(images, f"holds an array of 360 kB.*{words}") < 4 * MB


# --- texts in Parquet


def parquet(path: Path, texts: list[str], **options: Any) -> Path:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    files.write_table(arrow.table({"t": texts, "y": list(range(len(texts)))}), path, **options)
    return path


def test_a_text_that_all_rows_share_is_in_memory_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "_BATCH_BYTES", 2 * MB)
    path = parquet(tmp_path / "a.parquet", ["a" * 700_000] * 200)  # 140 MB, once each has its own
    tracemalloc.start()
    dataset = open_cached(str(path), {"task": "regression"}, tmp_path / "cache")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MB
    assert dataset.n_examples == 200
    assert len(np.unique(np.asarray(dataset.features[:].indices))) == 1


def test_batches_are_cut_by_bytes_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [c * n for c, n in zip("abcabcab", (1, 900, 5, 5, 2000, 1, 1, 900), strict=True)]
    path = parquet(tmp_path / "a.parquet", texts, row_group_size=3)
    whole = open_cached(str(path), {}, tmp_path / "whole")
    monkeypatch.setattr(arrow, "_BATCH_BYTES", 1000)
    cut = open_cached(str(path), {}, tmp_path / "cut")
    assert cut.targets[:].tolist() == whole.targets[:].tolist()
    assert (cut.features[:] != whole.features[:]).nnz == 0


def test_texts_that_are_too_long_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "LINE_BYTES", 1000)
    path = parquet(tmp_path / "a.parquet", ["a", "b" * 2000, "c"])
    with pytest.raises(DataError, match=r"a\.parquet: column 't': a row has 2 kB of text.*ignore"):
        open_cached(str(path), {}, tmp_path / "cache")
    monkeypatch.setattr(arrow, "_MOST_PAGE_BYTES", 5000)
    texts = [f"{i}" * 2000 for i in range(9)]
    path = parquet(tmp_path / "b.parquet", texts, use_dictionary=False, compression="none")
    with pytest.raises(DataError, match=r"b\.parquet: column 't' holds texts of 2[.0-9]* kB each"):
        open_cached(str(path), {}, tmp_path / "cache")
