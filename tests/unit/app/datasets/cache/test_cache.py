"""The cache in ordinary use, and after damage."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples import checksums, stored
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.sparse import arrays_of
from distbelief.app.datasets.formats.options import Options
from distbelief.app.datasets.sources.generators import GENERATORS
from distbelief.app.datasets.sources.source import File, Generated
from distbelief.app.errors import DataError
from tests.unit.app.datasets.loading import load

SOURCE = "synthetic:softmax"
FILES = ("features.npy", "targets.npy", "statistics.npy", "meta.json")

WriteNpz = Callable[[float], str]


def complete_folder(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


@pytest.fixture
def npz(tmp_path: Path) -> WriteNpz:
    def write(value: float) -> str:
        np.savez(tmp_path / "some.npz", x=np.full((4, 2), value), y=np.array([0, 1, 0, 1]))
        return str(tmp_path / "some.npz")

    return write


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the sources that this process converts."""
    converted = []
    make = Generated.load

    def noted(source: Generated, options: Options) -> Dataset:
        converted.append(source.name)
        return make(source, options)

    monkeypatch.setattr(Generated, "load", noted)
    return converted


# --- ordinary use


@pytest.mark.parametrize("source", GENERATORS)
def test_a_cached_data_set_equals_the_loaded_one(tmp_path: Path, source: str) -> None:
    cached, loaded = open_cached(source, {}, tmp_path), load(source, {})
    pairs = (arrays_of(each.features, each.targets) for each in (cached, loaded))
    for ours, theirs in zip(*pairs, strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(cached.targets, loaded.targets)
    assert cached.targets.dtype == loaded.targets.dtype
    assert (cached.n_classes, cached.name) == (loaded.n_classes, loaded.name)
    assert cached.fingerprint == loaded.fingerprint


def test_the_arrays_are_memory_maps_that_cannot_be_written(tmp_path: Path) -> None:
    dataset = open_cached("digits", {}, tmp_path)
    for array in (dataset.features, dataset.targets):
        assert isinstance(array.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_second_opening_does_not_convert_again(tmp_path: Path, loads: list[str]) -> None:
    open_cached(SOURCE, {}, tmp_path)
    open_cached(SOURCE, {}, tmp_path)
    assert len(loads) == 1


def test_options_spelt_out_share_the_cache_of_the_defaults(
    tmp_path: Path, loads: list[str]
) -> None:
    open_cached(SOURCE, {}, tmp_path)
    open_cached(SOURCE, {"seed": 0, "classes": 5}, tmp_path)
    assert len(loads) == 1


def test_other_options_are_another_data_set(tmp_path: Path) -> None:
    assert open_cached(SOURCE, {"examples": 30}, tmp_path).n_examples == 30
    assert open_cached(SOURCE, {"examples": 40}, tmp_path).n_examples == 40


def test_a_changed_file_is_noticed(tmp_path: Path, npz: WriteNpz) -> None:
    before = open_cached(npz(1.0), {}, tmp_path / "cache")
    after = open_cached(npz(2.0), {}, tmp_path / "cache")
    assert (before.features[0, 0], after.features[0, 0]) == (1.0, 2.0)
    assert before.fingerprint != after.fingerprint


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, npz: WriteNpz, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = File.load

    def load_after_change(source: File, *rest: Any) -> Dataset:
        npz(2.0)
        return read(source, *rest)

    monkeypatch.setattr(File, "load", load_after_change)
    with pytest.raises(DataError, match="the file changed while it was read"):
        open_cached(npz(1.0), {}, tmp_path / "cache")


def test_errors_of_the_source_come_through(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        open_cached(f"{tmp_path}/none.npz", {}, tmp_path)
    with pytest.raises(DataError, match="unknown data source"):
        open_cached("digit", {}, tmp_path)


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="set DISTBELIEF_CACHE to a folder with room"):
        open_cached("digits", {}, tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"DISTBELIEF_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/distbelief"),
        ({"DISTBELIEF_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/distbelief"),
        ({"DISTBELIEF_CACHE": "~/d", "HOME": "/c"}, "/c/d"),
    ],
)
def test_the_default_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], folder: str
) -> None:
    for name in ("DISTBELIEF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_cache_folder() == Path(folder)


# --- damage


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"\0")


@pytest.mark.parametrize("damage", [remove, shorten, lengthen])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_cache_is_rebuilt(
    tmp_path: Path, loads: list[str], damage: Callable[[Path], None], name: str
) -> None:
    open_cached(SOURCE, {}, tmp_path)
    damage(complete_folder(tmp_path) / name)
    rebuilt = open_cached(SOURCE, {}, tmp_path)
    assert len(loads) == 2
    assert np.array_equal(rebuilt.features, load(SOURCE, {}).features)


@pytest.mark.parametrize("meta", ["", "[]", "{}", "null"])
def test_a_cache_with_unreadable_facts_is_rebuilt(tmp_path: Path, meta: str) -> None:
    open_cached(SOURCE, {}, tmp_path)
    (complete_folder(tmp_path) / "meta.json").write_text(meta)
    assert open_cached(SOURCE, {}, tmp_path).n_classes == 5


def test_a_cache_of_another_format_is_rebuilt(tmp_path: Path, loads: list[str]) -> None:
    open_cached(SOURCE, {}, tmp_path)
    facts = complete_folder(tmp_path) / "meta.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 0}))
    open_cached(SOURCE, {}, tmp_path)
    assert len(loads) == 2


def test_a_rebuilt_cache_leaves_open_maps_alone(tmp_path: Path) -> None:
    opened = open_cached(SOURCE, {}, tmp_path)
    (complete_folder(tmp_path) / "meta.json").unlink()
    open_cached(SOURCE, {}, tmp_path)
    assert np.array_equal(opened.features, load(SOURCE, {}).features)


def test_a_failed_conversion_leaves_no_half_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(dataset: Dataset, folder: Path) -> None:
        (folder / "features.npy").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write", full_disk)
        with pytest.raises(DataError, match="No space left on device"):
            open_cached(SOURCE, {}, tmp_path)

    assert not any(path.is_dir() for path in tmp_path.iterdir())
    assert open_cached(SOURCE, {}, tmp_path).n_examples == 1000


def flip(path: Path) -> None:
    """One bit in the middle, as a disk may do it: neither size nor time tell."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", ["features.npy", "targets.npy"])
def test_a_flipped_bit_is_not_trained_on(tmp_path: Path, loads: list[str], name: str) -> None:
    open_cached(SOURCE, {}, tmp_path)
    flip(complete_folder(tmp_path) / name)
    rebuilt = open_cached(SOURCE, {}, tmp_path)
    assert len(loads) == 2
    assert np.array_equal(rebuilt.features, load(SOURCE, {}).features)


def test_large_arrays_are_checked_once_until_they_change(
    tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = checksums._checksum

    def noted(path: Path) -> int:
        checked.append(path)
        return check(path)

    monkeypatch.setattr(checksums, "_checksum", noted)
    monkeypatch.setattr(checksums, "ALWAYS_BYTES", 100)
    for _ in range(3):
        open_cached(SOURCE, {}, tmp_path)
    assert len(checked) == 2 * 3  # as they were written, and the first time that they were opened
    path = complete_folder(tmp_path) / "features.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 128
    path.write_bytes(content)
    open_cached(SOURCE, {}, tmp_path)
    assert len(loads) == 2


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    open_cached(SOURCE, {}, tmp_path)
    found = complete_folder(tmp_path)
    (found / "meta.json").unlink()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = found.with_name(f"{found.name}.lock")
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(DataError, match=r"\.lock is a symbolic link, which nobody of us made"):
        open_cached(SOURCE, {}, tmp_path)
    assert victim.read_text() == "precious"
