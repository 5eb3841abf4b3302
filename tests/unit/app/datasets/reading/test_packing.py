"""Packed files, by their ending or their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TABLE = b"a,y\n" + b"".join(b"%d,%d\n" % (i, i % 2) for i in range(5000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def zstd(content: bytes) -> bytes:
    packed: bytes = pytest.importorskip("zstandard").ZstdCompressor().compress(content)
    return packed


@pytest.mark.parametrize("ending", [*PACK, ".zst"])
def test_packed_files_are_unpacked_whatever_they_are_called(
    read: Any, tmp_path: Path, ending: str
) -> None:
    packed = PACK.get(ending, zstd)(TABLE)
    twice = PACK.get(ending, zstd)(TABLE[:10_000]) + PACK.get(ending, zstd)(TABLE[10_000:])
    for name, content in ((f"a.CSV{ending}", packed), ("train", packed), ("parts", twice)):
        (tmp_path / name).write_bytes(content)
        found = read(tmp_path / name)
        assert found.features[:, 0].tolist() == list(range(5000))


@pytest.mark.parametrize("ending", [*PACK, ".zst"])
def test_a_packed_file_that_is_cut_short_or_damaged_is_named(
    read: Any, tmp_path: Path, ending: str
) -> None:
    packed, path = PACK.get(ending, zstd)(TABLE), tmp_path / f"a.csv{ending}"
    for content in (packed[: len(packed) // 2], b"no packing at all", packed[:20] + b"\xff" * 99):
        path.write_bytes(content)
        with pytest.raises(Exception, match=r"^.*/a\.csv\.\w+: ") as raised:
            read(path)
        assert type(raised.value).__name__ == "DataError"


def test_the_package_for_zstandard_is_asked_for_where_it_is_missing(
    read: Any, refuses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    words = "a.csv.zst: files in Zstandard (.zst) need zstandard: pip install '.[zstd]'"
    with refuses(words):
        read(tmp_path / "a.csv.zst")
