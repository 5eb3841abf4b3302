"""Files that are converted as a stream: what comes out, in how much memory, and after what."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from distbelief.app.datasets.cache import streaming
from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.cache.streaming import GrowingArray
from distbelief.app.datasets.examples import mapped
from distbelief.app.datasets.examples.chunks import Chunk, CsrRows
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.datasets.examples.stored import SPARSE
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

CSV = "x,y,size\n1,no,2.5\n2,yes,\n4,no,-1\n"


@pytest.fixture(autouse=True, params=["mapped", "read in place"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds for small arrays and for large ones."""
    if request.param == "read in place":
        monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def written(tmp_path: Path, name: str, content: str) -> str:
    (tmp_path / name).write_text(content)
    return str(tmp_path / name)


def converted(folder: Path) -> list[str]:
    """Names in the cache, of what is or was converted."""
    return [path.name for path in folder.iterdir() if path.is_dir()]


def opened(tmp_path: Path, content: str, name: str = "a.csv", **options: Any) -> Dataset:
    return open_cached(written(tmp_path, name, content), options, tmp_path / "cache")


# --- what comes out


def test_a_table_of_numbers_is_dense(tmp_path: Path) -> None:
    data = opened(tmp_path, CSV, missing=9)
    assert data.schema == Schema(2, 2, n_dense=2, labels=("no", "yes"))
    assert data.features[:].tolist() == [[1, 2.5], [2, 9], [4, -1]]
    assert data.targets[:].tolist() == [0, 1, 0]
    assert data.facts.names == ("x", "size")


def test_a_table_with_categories_is_sparse(tmp_path: Path) -> None:
    data = opened(tmp_path, "n,colour,y\n1,red,3.5\n0,blue,4\n2,red,1\n", buckets=8)
    assert data.schema == Schema(9, sparse=True, n_dense=1, n_fields=1)
    rows = data.features[np.array([2, 0])].toarray()
    assert rows[:, 0].tolist() == [2, 1]
    assert np.array_equal(rows[0, 1:], rows[1, 1:])
    assert data.targets[:].tolist() == [3.5, 4, 1]


def test_sparse_files_come_out_as_scikit_learn_reads_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 40)) * (random.random((300, 40)) < 0.1)
    path = str(tmp_path / "a.libsvm")
    dump_svmlight_file(x, random.choice([-1, 1], 300), path, zero_based=False)
    data = open_cached(path, {"features": 40}, tmp_path / "cache")
    theirs, labels = load_svmlight_file(path, n_features=40)
    np.testing.assert_allclose(data.features[:].toarray(), theirs.toarray(), rtol=1e-7)
    assert np.array_equal(np.array(data.schema.names)[data.targets[:]], labels)
    assert isinstance(data.features, SparseFeatures)
    some = random.integers(0, 300, 20)
    np.testing.assert_allclose(data.features[some].toarray(), theirs[some].toarray(), rtol=1e-7)


def test_packed_files_folders_and_patterns_are_the_same_examples(tmp_path: Path) -> None:
    first, second = CSV, "x,y,size\n5,yes,6\n"
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts", "1.csv", first)
    (tmp_path / "parts" / "2.csv.gz").write_bytes(gzip.compress(second.encode()))
    for source in (tmp_path / "parts", tmp_path / "parts" / "*.csv*"):
        data = open_cached(str(source), {}, tmp_path / "cache")
        assert data.targets[:].tolist() == [0, 1, 0, 1]
        assert data.features[:][:, 0].tolist() == [1, 2, 4, 5]


def test_bad_lines_that_are_tolerated_are_remembered(tmp_path: Path, folder: Path) -> None:
    content = CSV + "1,2\n7,yes,1\n"
    for _ in range(2):  # when it is converted, and from the cache
        data = opened(tmp_path, content, bad_lines=1)
        (fault,) = data.facts.skipped
        assert (fault.line, data.n_examples) == (5, 4)
    with pytest.raises(DataError, match="line 5"):
        opened(tmp_path, content)
    assert len(converted(folder)) == 1


def test_the_task_is_what_the_option_says(tmp_path: Path) -> None:
    content = "x,y\n1,0\n2,1\n"
    assert opened(tmp_path, content).n_classes == 2
    assert opened(tmp_path, content, task="regression").n_classes == 0
    assert opened(tmp_path, content, classes=3).n_classes == 3
    with pytest.raises(DataError, match="classification or regression, got 'ranking'"):
        opened(tmp_path, content, task="ranking")
    with pytest.raises(DataError, match="task=regression and classes exclude each other"):
        opened(tmp_path, content, task="regression", classes=2)


# --- data that have to fit other data


def test_labels_are_numbered_as_in_the_other_data(tmp_path: Path, folder: Path) -> None:
    train = opened(tmp_path, CSV)
    other = written(tmp_path, "b.csv", "x,y,size\n0,yes,1\n")
    compatibility = Compatibility(train.schema, "the training data", train.facts.reading)
    assert open_cached(other, {}, folder).targets[:].tolist() == [0]
    fitting = open_cached(other, {}, folder, compatibility=compatibility)
    assert (fitting.targets[:].tolist(), fitting.schema) == ([1], train.schema)


def test_an_unknown_label_is_named(tmp_path: Path, folder: Path) -> None:
    compatibility = Compatibility(opened(tmp_path, CSV).schema, "the training data")
    other = written(tmp_path, "b.csv", "x,y,size\n0,yes,1\n0,maybe,1\n")
    words = "row 1 has the label 'maybe'; the labels of the training data are no, yes"
    with pytest.raises(DataError, match=words):
        open_cached(other, {}, folder, compatibility=compatibility)


def test_fewer_features_than_the_other_data_are_filled_up(tmp_path: Path, folder: Path) -> None:
    train = opened(tmp_path, "1 7:1\n0 1:1\n", "a.libsvm")
    compatibility = Compatibility(train.schema, "the training data", train.facts.reading)
    other = open_cached(
        written(tmp_path, "b.libsvm", "1 2:1\n"), {}, folder, compatibility=compatibility
    )
    assert other.schema == train.schema


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x,y\n0,yes\n", "has 1 features, it must have the 2 of the training data"),
        ("x,y,a,b\n0,yes,0,1\n", "has 3 features, it must have the 2 of the training data"),
    ],
)
def test_other_features_are_refused(tmp_path: Path, folder: Path, content: str, words: str) -> None:
    compatibility = Compatibility(opened(tmp_path, CSV).schema, "the training data")
    with pytest.raises(DataError, match=words):
        open_cached(written(tmp_path, "b.csv", content), {}, folder, compatibility=compatibility)
    assert len(converted(folder)) == 1


# --- changes, failures, progress


def test_a_changed_file_is_converted_again(tmp_path: Path) -> None:
    before, after = opened(tmp_path, CSV), opened(tmp_path, CSV + "3,yes,1\n")
    assert (before.n_examples, after.n_examples) == (3, 4)
    assert before.fingerprint != after.fingerprint
    assert before.targets[:].tolist() == [0, 1, 0]  # what is open stays as it was


def test_a_remote_file_is_known_by_what_its_server_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_DATA_PROTOCOLS", "memory")
    files = pytest.importorskip("fsspec").filesystem("memory")
    for content, n_examples in ((CSV, 3), (CSV, 3), (CSV + "3,yes,1\n", 4)):
        if not files.exists("/cached.csv") or files.cat("/cached.csv").decode() != content:
            files.pipe("/cached.csv", content.encode())
        assert open_cached("memory://cached.csv", {}, folder).n_examples == n_examples
    assert len(converted(folder)) == 2
    files.rm("/cached.csv")


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path, "a.csv", CSV)

    converted_before = streaming.convert

    def convert(*words: Any) -> Any:
        found = converted_before(*words)
        written(tmp_path, "a.csv", CSV + "5,no,1\n")
        return found

    monkeypatch.setattr(streaming, "convert", convert)
    with pytest.raises(DataError, match="the file changed while it was read, try again"):
        open_cached(source, {}, folder)
    assert converted(folder) == []


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(array: GrowingArray, rows: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(GrowingArray, "add", full)
        with pytest.raises(DataError, match=r"No space left on device.*DISTBELIEF_CACHE"):
            opened(tmp_path, CSV)
    assert converted(folder) == []
    assert opened(tmp_path, CSV).n_examples == 3


HOSTILE = {
    "a number of columns": CSV + "1,no\n",
    "no number": CSV + "x,no,1\n",
    "no target": CSV + "1,,1\n",
    "infinity": "x,y\n1,inf\n2,3\n",
    "only names": "x,y\n",
    "nothing": "",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_gives_one_sentence_and_leaves_nothing(
    tmp_path: Path, folder: Path, case: str
) -> None:
    with pytest.raises(DataError, match=r"a\.csv") as raised:
        opened(tmp_path, HOSTILE[case], categorical="")
    assert "\n" not in str(raised.value)
    assert not folder.exists() or converted(folder) == []


def test_progress_is_told_of_a_conversion_only(tmp_path: Path, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    source = written(tmp_path, "a.csv", CSV)
    for _ in range(2):
        open_cached(source, {}, folder, progress=lambda *figures: told.append(figures))
    assert told == [(len(CSV), len(CSV))]


def test_a_source_may_not_hold_a_password(folder: Path) -> None:
    with pytest.raises(DataError, match="must not hold a password") as raised:
        open_cached("https://me:secret@host/a.csv", {}, folder)
    assert "secret" not in str(raised.value)


# --- the writer


class Parts:
    """A reader of chunks that are in memory."""

    apart = False
    columns = type("C", (), {"n_features": 1000, "n_dense": 0, "n_fields": 0})()
    typed = True
    target = TargetChoice()

    def __init__(self, chunks: list[Chunk], *, sparse: bool) -> None:
        self._chunks, self.sparse = chunks, sparse

    def attempt(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    def holds(self) -> bool:
        return True

    def refine(self, *_: object) -> bool:
        return False

    def complete(self, *_: object) -> list[Any]:
        return []


@given(sizes=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=6))
def test_sparse_chunks_join_to_one_matrix(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]]
) -> None:
    random, folder, chunks = np.random.default_rng(0), tmp_path_factory.mktemp("a"), []
    for lengths in sizes:
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices = np.concatenate([np.sort(random.choice(1000, n, replace=False)) for n in lengths])
        rows = CsrRows(indptr, indices.astype(np.int64), random.random(indptr[-1], np.float32))
        chunks.append(Chunk(rows, np.arange(len(lengths))))
    reader: Any = Parts(chunks, sparse=True)
    schema = streaming.convert(reader, "a", Wanted(), folder).schema
    indptr, indices, values, targets = (np.load(folder / name) for name in SPARSE)
    joined = SparseFeatures(indptr, indices, values, schema.n_features)[:]
    start = 0
    for chunk in chunks:
        assert isinstance(chunk.features, CsrRows)
        part = joined[start : start + len(chunk)]
        assert np.array_equal(part.indices, chunk.features.indices)
        assert np.array_equal(part.data, chunk.features.values)
        assert np.array_equal(part.indptr, chunk.features.indptr)
        start += len(chunk)
    assert len(targets) == start


@given(st.lists(st.integers(0, 300), max_size=5), st.sampled_from([(), (3,)]))
def test_an_array_may_grow(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], row: tuple[int, ...]
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.npy"
    pieces = [np.full((size, *row), i, np.float32) for i, size in enumerate(sizes)]
    array = GrowingArray(path, np.dtype(np.float32), row)
    for piece in pieces:
        array.add(piece)
    array.close()
    assert np.array_equal(np.load(path), np.concatenate([np.zeros((0, *row)), *pieces]))


def test_data_without_any_feature_are_refused_unless_their_number_is_said(
    tmp_path: Path, folder: Path
) -> None:
    source = written(tmp_path, "a.libsvm", "0\n1\n")
    with pytest.raises(DataError, match=r"a\.libsvm: there are no features.* option features"):
        open_cached(source, {}, folder)
    assert open_cached(source, {"features": 3}, folder).schema.n_features == 3
