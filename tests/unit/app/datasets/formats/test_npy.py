"""Pairs of .npy files: names, memory orders, chunks, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.formats import npy

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
Y = np.array([0, 2, 1])


def pair(folder: Path, x: Any = X, y: Any = Y, names: str = "a-x.npy a-y.npy") -> str:
    for name, array in zip(names.split(), (x, y), strict=True):
        np.save(folder / name, array)
    return str(folder / names.split()[0])


@given(
    st.integers(1, 20),
    st.integers(1, 5),
    st.sampled_from(["f2", "f4", "f8", ">f8", "i1", "u2", "i8", "?"]),
    st.sampled_from("CF"),
    st.integers(1, 40),
)
def test_what_is_saved_is_read_in_chunks_of_any_size(
    read: Any, scratch: Path, n_rows: int, width: int, dtype: str, order: Any, size: int
) -> None:
    values = np.random.default_rng(n_rows).integers(0, 100, (n_rows, width))
    array = np.asarray(values.astype(dtype), order=order)
    source = pair(scratch, array, np.arange(n_rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy, "CHUNK_NUMBERS", size)
        found = read(source)
    assert np.array_equal(found.features, array.astype(np.float32))
    assert found.features.dtype == np.float32
    assert found.targets == list(range(n_rows))
    assert found.n_chunks == -(-n_rows // max(1, size // width))


@pytest.mark.parametrize(
    "names",
    ["x.npy y.npy", "X.npy y.npy", "X.npy Y.npy", "a-x.npy a-y.npy", "a_X.npy a_y.npy",
     "a.x.npy a.y.npy"],
)  # fmt: skip
def test_targets_lie_beside_the_features(read: Any, tmp_path: Path, names: str) -> None:
    found = read(pair(tmp_path, names=names))
    assert found.targets == [0, 2, 1]
    assert (found.columns.n_features, found.columns.n_dense) == (2, 2)
    assert np.array_equal(read(tmp_path).features, X)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (np.array([1, 0, 1], np.uint8), [1, 0, 1]),
        (np.array([True, False, True]), [1, 0, 1]),
        (np.array([0.5, 1, 2], np.float32), [0.5, 1, 2]),
        (np.array(["a ", "b", "é"]), ["a", "b", "é"]),
    ],
)
def test_targets_are_numbers_or_texts(
    read: Any, tmp_path: Path, targets: Any, expected: list[Any]
) -> None:
    assert read(pair(tmp_path, y=targets)).targets == expected


def test_features_to_predict_from_need_no_targets(read: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "some.npy", X)
    found = read(tmp_path / "some.npy", labelled=False)
    assert np.array_equal(found.features, X)
    assert found.targets is None


def test_several_pairs_are_one_data_set(read: Any, tmp_path: Path) -> None:
    pair(tmp_path, names="b-x.npy b-y.npy")
    pair(tmp_path, X + 1, Y + 1)
    found = read(tmp_path / "*-x.npy")
    assert np.array_equal(found.features, np.concatenate([X + 1, X]))
    assert found.targets == [1, 3, 2, 0, 2, 1]
    assert np.array_equal(read(tmp_path).features, found.features)
    names = [file.name.rpartition("/")[2] for file in found.reader.files]
    assert names == ["a-x.npy", "a-y.npy", "b-x.npy", "b-y.npy"]


UNUSABLE = {
    "1-D": (X[0], Y, "a-x.npy: features must be a 2-D array (n_examples, n_features), got shape"),
    "no columns": (X[:, :0], Y, "a-x.npy: features must be a 2-D array"),
    "text": (X.astype(str), Y, "a-x.npy: features must be whole or floating-point numbers, got an"),
    "complex": (X * 1j, Y, "a-x.npy: features must be whole or floating-point numbers"),
    "objects": (np.array([[None]]), Y, "a-x.npy: the file holds pickled Python objects, which are"),
    "nothing": (X[:0], Y[:0], "a-x.npy: there are no examples, at least one is needed"),
    "infinity": (X + np.array([0, np.inf]), Y, "a-x.npy: row 0: column 1: inf is not finite"),
    "large": (X * [[1], [1e200], [1]], Y, "a-x.npy: row 1: column 0: 3e+200 does not fit float32"),
    "lengths": (X, Y[:2], "a-y.npy: there are 2 targets for the 3 examples in "),
    "2-D targets": (X, X, "a-y.npy: targets must be a 1-D array, got shape (3, 2)"),
    "bytes": (X, np.array([b"a"] * 3), "a-y.npy: targets must be numbers or texts, got dtype |S1"),
    "no text": (X, np.array([""] * 3, "U0"), "a-x.npy: row 0: the target is missing"),
    "objects as targets": (X, np.array([None] * 3), "a-y.npy: the file holds pickled Python"),
    "nan target": (X, np.array([1, np.nan, 1]), "a-x.npy: row 1: the target nan is not finite"),
    "empty target": (X, np.array(["a", "", "b"]), "a-x.npy: row 1: the target is missing"),
    "large target": (X, np.array([1, 2, 2**63], np.uint64), "row 2: the target 922337203685477580"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_pair_is_refused(read: Any, refuses: Any, tmp_path: Path, case: str) -> None:
    x, y, complaint = UNUSABLE[case]
    with refuses(complaint) as raised:
        read(pair(tmp_path, x, y))
    assert str(raised.value).startswith(f"{tmp_path}/a-")


def test_bad_rows_are_skipped_as_often_as_said(read: Any, tmp_path: Path) -> None:
    found = read(pair(tmp_path, X + np.array([[0], [np.inf], [0]])), bad_lines=1)
    assert np.array_equal(found.features, X[[0, 2]])
    assert found.targets == [0, 1]
    assert [(fault.line, fault.unit) for fault in found.skipped] == [(1, "row")]


def test_targets_that_are_not_there_are_named(read: Any, refuses: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a-x.npy", X)
    with refuses(f"a-x.npy: the targets are missing, there is no {tmp_path}/a-y.npy"):
        read(tmp_path / "a-x.npy")
    np.save(tmp_path / "b.npy", X)
    with refuses("b.npy: features with targets must be called x.npy or NAME-x.npy, beside y.npy"):
        read(tmp_path / "b.npy")


@pytest.mark.parametrize("name", ["a-x.npy", "a-y.npy"])
def test_a_file_cut_anywhere_is_refused(read: Any, refuses: Any, tmp_path: Path, name: str) -> None:
    source = pair(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for length in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        with refuses(f"{tmp_path}/{name}: "):
            read(source)


def test_a_damaged_header_is_refused_or_harmless(read_or_refuse: Any, tmp_path: Path) -> None:
    source = pair(tmp_path)
    whole = Path(source).read_bytes()
    for position in range(128):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        Path(source).write_bytes(damaged)
        found = read_or_refuse(source)
        assert found is None or len(found.features) == 3


def test_files_of_one_source_have_as_many_features(read: Any, refuses: Any, tmp_path: Path) -> None:
    pair(tmp_path)
    pair(tmp_path, X[:, :1], names="b-x.npy b-y.npy")
    with refuses("b-x.npy: there are 1 features, the other files have 2"):
        read(tmp_path)
