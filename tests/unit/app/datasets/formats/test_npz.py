"""Files that cannot be used, and the sentences that say so."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples.checks import Array, to_float32
from distbelief.app.errors import DataError
from tests.unit.app.datasets.loading import features_only, load

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
LABELS = np.array([0, 2, 1])

WriteNpz = Callable[..., str]


@pytest.fixture
def npz(tmp_path: Path) -> WriteNpz:
    """Write arrays to an .npz file and return its path."""

    def write(**arrays: Any) -> str:
        np.savez(tmp_path / "some.npz", **arrays)
        return str(tmp_path / "some.npz")

    return write


def refuses(complaint: str) -> pytest.RaisesExc[DataError]:
    return pytest.raises(DataError, match=re.escape(complaint))


# --- complaints about data

UNUSABLE = {
    "overflow": (
        {"x": np.array([[1, 2], [3, -1e39], [0, 0]]), "y": LABELS},
        "features must fit float32 (at most 3.4e38), row 1, column 1 holds -1e+39",
    ),
    "overflowing target": (
        {"x": X, "y": np.array([0, 1e300, 0])},
        "targets must fit float32 (at most 3.4e38), row 1 holds 1e+300",
    ),
    "infinity": ({"x": X + np.inf, "y": LABELS}, "features must be finite, row 0, column 0 holds"),
    "nan target": ({"x": X, "y": X[:, 0] * np.nan}, "targets must be finite, row 0 holds nan"),
    "text": ({"x": X.astype(str), "y": LABELS}, "features must be whole or floating-point"),
    "complex": ({"x": X * 1j, "y": LABELS}, "features must be whole or floating-point"),
    "lengths": ({"x": X, "y": LABELS[:2]}, "equally many rows, got 3 and 2"),
    "nothing": ({"x": X[:0], "y": LABELS[:0]}, "there are no examples"),
    "one number": ({"x": X, "y": np.array(1)}, "targets must be a 1-D array"),
    "no y": ({"x": X, "z": X}, "must be an array named y or Y or labels or targets or target, "
             "the file holds x, z"),
    "no x": ({"y": LABELS}, "must be an array named x or X or features or data, the file holds y"),
    "no arrays": ({}, "the file holds no arrays"),
    "objects": ({"x": np.array([[None]]), "y": LABELS}, "pickled Python objects, which are never"),
    "names": (
        {"x": np.zeros((1001, 1)), "y": np.array([f"x{i}" for i in range(1001)])},
        "the targets have more than 1,000 different labels: are these the targets? The option "
        "task=classification allows 100,000, and the option target names another column",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_is_refused_by_name(npz: WriteNpz, case: str) -> None:
    arrays, complaint = UNUSABLE[case]
    source = npz(**arrays)
    with refuses(complaint) as raised:
        load(source, {})
    assert str(raised.value).startswith(f"{source}: ")


def test_labels_beyond_the_given_classes_are_refused(npz: WriteNpz) -> None:
    with refuses("labels of 2 classes must be 0 to 1, row 1 holds 2"):
        load(npz(x=X, y=LABELS), {"classes": 2})


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_labels_that_are_not_whole_are_refused(npz: WriteNpz, value: float) -> None:
    with refuses(f"labels must be whole numbers, row 2 holds {value}"):
        load(npz(x=X, y=np.array([0, 1, value])), {"classes": 2})


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_what_fits_float32_is_rounded_and_what_does_not_is_refused(numbers: list[float]) -> None:
    values = np.array(numbers)
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    if np.array_equal(np.isinf(rounded), np.isinf(values)):
        assert np.array_equal(to_float32(values, "targets", "a"), rounded, equal_nan=True)
    else:
        with refuses("a: targets must fit float32"):
            to_float32(values, "targets", "a")


# --- complaints about files


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refuses(f"{tmp_path}/none.npz: there is no such file"):
        load(f"{tmp_path}/none.npz", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with refuses("this is a folder"):
        load(f"{tmp_path}/folder.npz", {})


@pytest.mark.parametrize("content", [b"", b"not a zip", b"\x93NUMPY"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with refuses("this is not an .npz file, or it is cut short"):
        load(f"{tmp_path}/a.npz", {})


def test_a_file_cut_anywhere_is_refused(npz: WriteNpz, tmp_path: Path) -> None:
    source = npz(x=X, y=LABELS)
    whole = (tmp_path / "some.npz").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "some.npz").write_bytes(whole[:length])
        with refuses("not an .npz file, or it is cut short"):
            load(source, {})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_with_a_damaged_byte_is_refused_or_harmless(
    tmp_path: Path, save: Callable[..., None]
) -> None:
    path = tmp_path / "some.npz"
    save(path, x=X, y=LABELS)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert np.array_equal(load(str(path), {}).features, X)


def test_a_zip_of_other_things_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("x.npy", "text")
        archive.writestr("y.npy", "text")
    with refuses("is not a NumPy array"):
        load(f"{tmp_path}/other.npz", {})


# --- features to predict from


def test_features_to_predict_from_need_no_targets(npz: WriteNpz) -> None:
    assert np.array_equal(features_only(npz(data=X)), X)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (X[0], "some.npz: features must be a 2-D array"),
        (X[:0], "some.npz: there are no examples"),
        (X * np.inf, "some.npz: features must be finite, row 0, column 0 holds inf"),
        (X * 1e300, "some.npz: features must fit float32"),
        (np.array([[None]]), "some.npz: the file holds pickled Python objects"),
    ],
)
def test_unusable_features_to_predict_from_are_refused(
    npz: WriteNpz, array: Array, complaint: str
) -> None:
    with refuses(complaint):
        features_only(npz(x=array))
