"""Data that are laid down in pieces and fetched once for a machine, whatever happens on the way."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.cache.upkeep import entries, prune
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.stored import open_folder
from distbelief.app.datasets.formats.arrays import hand_over
from distbelief.app.datasets.reading.access import only_under
from distbelief.app.datasets.reading.digests import digest_of
from distbelief.app.datasets.staging import fetching
from distbelief.app.datasets.staging.content import Content
from distbelief.app.datasets.staging.depot import MANIFEST, Depot
from distbelief.app.datasets.staging.fetching import open_staged
from distbelief.app.datasets.staging.manifest import Manifest, cut
from distbelief.app.datasets.staging.storage import Storage
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import ConfigError, DataError, ServerRefused, ServerUnreachable

SOURCE = "mine.csv"


class Shelf:
    """A depot in memory; ``asked`` are the pieces that were read, ``breaks`` when it does not."""

    place = "the shelf"
    piece_bytes = 1000
    window = 3

    def __init__(self, breaks: int = 10**9) -> None:
        self.there: dict[tuple[str, int], bytes] = {}
        self.asked: list[int] = []
        self.breaks = breaks

    def read(self, digest: str, pieces: Sequence[int]) -> list[bytes | None]:
        if len(self.asked) >= self.breaks:
            raise ServerUnreachable("the shelf broke")
        self.asked += pieces
        return [self.there.get((digest, piece)) for piece in pieces]

    def missing(self, digest: str, pieces: Sequence[int]) -> list[int]:
        return [piece for piece in pieces if (digest, piece) not in self.there]

    def write(self, digest: str, piece: int, content: bytes) -> None:
        self.there[digest, piece] = content

    def remove(self, digest: str, pieces: Collection[int]) -> None:
        for piece in pieces:
            self.there.pop((digest, piece), None)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "POLL_S", 0.001)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def dense(rows: int = 300) -> Any:
    return np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)


def written(folder: Path, features: Any) -> Path:
    """A converted data set."""
    labels = np.arange(features.shape[0]) % 3
    hand_over(features, labels, folder, Wanted(), weights=np.linspace(1, 2, features.shape[0]))
    return folder


def laid_down(depot: Depot, folder: Path) -> str:
    with closing(Content(folder, depot.piece_bytes)) as content:
        content.put(depot)
        return content.digest


def same(one: Dataset | None, other: Dataset | None) -> bool:
    assert one is not None
    assert other is not None
    arrays = [[each.features[:], each.targets[:], each.weights[:]] for each in (one, other)]
    matrices = [
        [part.toarray() if scipy.sparse.issparse(part) else part for part in each]
        for each in arrays
    ]
    equal = all(map(np.array_equal, *matrices))
    return equal and (one.schema, one.fingerprint) == (other.schema, other.fingerprint)


@pytest.mark.parametrize("make", [dense, lambda: scipy.sparse.random_array((90, 40), rng=1)])
def test_what_is_fetched_is_what_was_laid_down_and_lies_in_the_cache(
    make: Callable[[], Any], tmp_path: Path, cache: Path
) -> None:
    folder, shelf = written(tmp_path / "data", make()), Shelf()
    digest = laid_down(shelf, folder)
    cache.mkdir()
    found = open_staged(SOURCE, digest, shelf, cache)
    assert same(found, open_folder(folder, SOURCE))
    (entry,) = entries(cache)
    assert entry.path == found.folder == cache / f"staged-{digest}"
    again = open_staged(SOURCE, digest, Shelf(), cache)  # from a depot with nothing in it
    assert same(again, found)
    assert prune(cache, 0) == 0  # it is in use


def test_processes_of_a_machine_fetch_once(tmp_path: Path, cache: Path) -> None:
    shelf = Shelf()
    digest = laid_down(shelf, written(tmp_path / "data", dense()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: open_staged(SOURCE, digest, shelf, cache), range(4)))
    assert len(shelf.asked) == len(set(shelf.asked)) == len(shelf.there)


def test_a_fetch_that_broke_off_goes_on_where_it_was(tmp_path: Path, cache: Path) -> None:
    shelf = Shelf(breaks=4)
    digest = laid_down(shelf, written(tmp_path / "data", dense()))
    with pytest.raises(ServerUnreachable):
        open_staged(SOURCE, digest, shelf, cache)
    came = {piece for piece in shelf.asked if piece != MANIFEST}
    shelf.asked, shelf.breaks = [], 10**9
    open_staged(SOURCE, digest, shelf, cache)
    assert came
    assert not came & set(shelf.asked)


def test_a_damaged_copy_is_fetched_again(tmp_path: Path, cache: Path) -> None:
    shelf = Shelf()
    digest = laid_down(shelf, written(tmp_path / "data", dense()))
    first = open_staged(SOURCE, digest, shelf, cache)
    assert first.folder is not None
    file = first.folder / "features.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    again = open_staged(SOURCE, digest, shelf, cache)
    assert same(again, open_folder(tmp_path / "data", SOURCE))


def test_a_piece_that_is_lost_is_put_back_and_waited_for(tmp_path: Path, cache: Path) -> None:
    shelf = Shelf()
    with closing(Content(written(tmp_path / "data", dense()), shelf.piece_bytes)) as content:
        content.put(shelf)
        shelf.remove(content.digest, [2])
        read, put = shelf.read, list[int]()

        def reading(digest: str, pieces: Sequence[int]) -> list[bytes | None]:
            if shelf.asked[-1:] == [2]:
                put.append(content.put(shelf))
            return read(digest, pieces)

        shelf.read = reading  # type: ignore[method-assign]
        assert open_staged(SOURCE, content.digest, shelf, cache).n_examples == 300
        content.remove(shelf)
    assert sum(put) == 1
    assert shelf.there == {}


def test_a_piece_that_is_another_is_never_taken(tmp_path: Path, cache: Path) -> None:
    shelf = Shelf()
    digest = laid_down(shelf, written(tmp_path / "data", dense()))
    shelf.there[digest, 3] = shelf.there[digest, 3][::-1]
    with pytest.raises(DataError, match=r"mine.csv: piece 3 .* the shelf .* coordinator live"):
        open_staged(SOURCE, digest, shelf, cache, patience_s=0.0)
    assert not (cache / f"staged-{digest}").exists()


def test_data_larger_than_the_cache_may_be_are_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    digest = laid_down(shelf, written(tmp_path / "data", dense()))
    monkeypatch.setenv("DISTBELIEF_CACHE_LIMIT", "2KB")
    with pytest.raises(DataError, match=r"may have 2,000: raise DISTBELIEF_CACHE_LIMIT there"):
        open_staged(SOURCE, digest, shelf, cache)


FORGED: dict[str, Any] = {
    "another folder": {"files": [["../../x.npy", 3]]},
    "another file": {"files": [["model.py", 3]]},
    "one file twice": {"files": [["meta.json", 2], ["meta.json", 1]]},
    "a negative size": {"files": [["meta.json", -1]], "digests": []},
    "no pieces": {"digests": []},
    "pieces of no bytes": {"piece_bytes": 0},
    "pieces larger than memory": {"piece_bytes": 10**12},
    "no digests": {"digests": ["../x"]},
    "no numbers": {"piece_bytes": True},
    "no list": {"files": 7},
    "another format": {"format": 2},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_manifest_that_says_what_cannot_be_is_refused(case: str, cache: Path) -> None:
    good = {"format": 1, "files": [["meta.json", 3]], "piece_bytes": 5, "digests": ["0" * 32]}
    shelf, text = Shelf(), json.dumps({**good, **FORGED[case]}).encode()
    shelf.write(digest_of(text), MANIFEST, text)
    with pytest.raises(DataError, match=r"mine.csv: the shelf has a(nother)? .*manifest|damaged"):
        open_staged(SOURCE, digest_of(text), shelf, cache, patience_s=0.0)
    assert not list(cache.glob("*.partial"))


def spoiled(folder: Path, name: str, change: Callable[[Any], None]) -> Path:
    """Data of which something was changed by one who knows how checksums are computed."""
    array = np.load(folder / name)
    change(array)
    np.save(folder / name, array)
    meta = json.loads((folder / "meta.json").read_text())
    meta["crc32"][name] = zlib.crc32((folder / name).read_bytes())
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.mark.parametrize(
    ("file", "value", "words"),
    [
        ("features.npy", np.nan, "features must be finite"),
        ("targets.npy", 7, "labels of 3 classes must be 0 to 2"),
        ("indices.npy", 40, "columns of the sparse features must be 0 to 39"),
        ("indices.npy", -1, "columns of the sparse features must be 0 to 39"),
        ("indptr.npy", 10**9, "rows of the sparse features are not where their array ends"),
    ],
)
def test_data_that_no_model_could_be_trained_on_are_refused(
    file: str, value: float, words: str, tmp_path: Path, cache: Path
) -> None:
    features = dense() if file in ("features.npy", "targets.npy") else None
    if features is None:
        features = scipy.sparse.random_array((90, 40), density=0.2, rng=1)

    def change(array: Any) -> None:
        array.flat[5] = value

    folder, shelf = spoiled(written(tmp_path / "data", features), file, change), Shelf()
    with pytest.raises(DataError, match=words):
        open_staged(SOURCE, laid_down(shelf, folder), shelf, cache)
    assert entries(cache) == [each for each in entries(cache) if each.path.suffix == ".partial"]


def test_storage_has_pieces_until_they_are_removed(tmp_path: Path, cache: Path) -> None:
    """With a folder of this machine, which fsspec opens like any other address."""
    address, folder = f"file://{tmp_path}/far", written(tmp_path / "data", dense())
    storage = Storage(address, "run1")
    with closing(Content(folder, storage.piece_bytes)) as content:
        assert content.put(storage) == len(content.numbers)
        assert content.put(storage) == 0
        found = open_staged(SOURCE, content.digest, Storage(address, "run1"), cache)
        assert same(found, open_folder(folder, SOURCE))
        assert content.put(Storage(address, "run1")) == len(content.numbers)  # it may be half
        content.remove(storage)
    assert storage.read(content.digest, [MANIFEST]) == [None]
    assert not list((tmp_path / "far" / "run1").iterdir())


def test_a_bucket_that_is_not_there_is_a_refusal_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"file://{tmp_path}/none", "run1")

    def pipe_file(*_: object) -> None:
        raise FileNotFoundError("The specified bucket does not exist")

    monkeypatch.setattr(storage._files, "pipe_file", pipe_file)
    with pytest.raises(ServerRefused, match=r"/none/run1 cannot be written: The specified bucket"):
        storage.write("d" * 32, MANIFEST, b"")


def test_storage_is_opened_under_the_roots_of_a_worker_alone(tmp_path: Path) -> None:
    with only_under([str(tmp_path / "data")]):
        with pytest.raises(DataError, match="open data only under"):
            Storage(f"file://{tmp_path}/far", "run1")
        Storage(f"file://{tmp_path}/data/far", "run1")
    with pytest.raises((DataError, ConfigError), match="nonsense"):
        Storage("nonsense://bucket", "run1")


@given(
    st.lists(st.integers(0, 50), max_size=4).map(
        lambda sizes: [(str(index), size) for index, size in enumerate(sizes)]
    ),
    st.integers(1, 20),
)
def test_pieces_are_all_bytes_of_all_files_once(
    files: list[tuple[str, int]], piece_bytes: int
) -> None:
    found = [
        (piece.file, at)
        for piece in cut(files, piece_bytes)
        for at in range(piece.start, piece.start + piece.size)
    ]
    assert found == [(name, at) for name, size in files for at in range(size)]
    assert all(0 < piece.size <= piece_bytes for piece in cut(files, piece_bytes))


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = Manifest((("meta.json", 7), ("targets.npy", 11)), 5, ("a" * 32,) * 5)
    assert Manifest.read(manifest.text) == manifest
    assert manifest.digest == digest_of(manifest.text)
