"""Loading by name: what the sources give, and what is said when they cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from distbelief.app.datasets.formats.options import Options
from distbelief.app.datasets.sources import synthetic
from distbelief.app.datasets.sources.generators import GENERATORS
from distbelief.app.datasets.sources.synthetic import SyntheticProblem
from distbelief.app.errors import DataError
from tests.unit.app.datasets.loading import load

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


# --- sources that are made


def test_digits_are_exact_sixteenths_of_those_of_scikit_learn() -> None:
    digits = load("digits", {})
    assert np.array_equal(digits.features * 16, load_digits().data)
    assert np.array_equal(digits.targets, load_digits().target)
    assert (digits.n_examples, digits.n_features, digits.n_classes) == (1797, 64, 10)


@pytest.mark.parametrize(
    ("source", "options", "problem"),
    [
        ("synthetic:linear", {"noise": 1, "seed": 3}, synthetic.linear(noise=1.0, seed=3)),
        ("synthetic:logistic", {"examples": 30}, synthetic.logistic(examples=30)),
        ("synthetic:softmax", {"features": 4, "classes": 3}, synthetic.softmax(1000, 4, 3)),
    ],
)
def test_synthetic_sources_are_the_problems_of_their_options(
    source: str, options: Options, problem: SyntheticProblem
) -> None:
    dataset = load(source, options)
    assert np.array_equal(dataset.features, problem.features)
    assert np.array_equal(dataset.targets, problem.targets)
    assert dataset.n_classes == problem.n_classes


@pytest.mark.parametrize("source", GENERATORS)
def test_a_source_that_is_made_has_a_repeatable_fingerprint(source: str) -> None:
    assert load(source, {}).fingerprint == load(source, {}).fingerprint


def test_defaults_written_out_leave_the_fingerprint_alone() -> None:
    spelt_out = {"seed": 0, "noise": 0, "features": 20, "examples": 1000}
    assert (
        load("synthetic:linear", {}).fingerprint == load("synthetic:linear", spelt_out).fingerprint
    )


def test_machines_that_would_make_different_data_have_different_fingerprints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = load("synthetic:linear", {}).fingerprint
    monkeypatch.setattr(synthetic, "GRID", 32)  # as if another NumPy drew other numbers
    assert load("synthetic:linear", {}).fingerprint != before


# --- .npz files


@pytest.mark.parametrize("x", ["x", "X", "features", "data"])
@pytest.mark.parametrize("y", ["y", "Y", "labels", "targets", "target"])
def test_arrays_go_by_any_of_their_usual_names(npz: WriteNpz, x: str, y: Any) -> None:
    dataset = load(npz(**{x: X, y: LABELS, "comment": np.array(["other"])}), {})
    assert np.array_equal(dataset.features, X)
    assert np.array_equal(dataset.targets, LABELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, ">f4", np.float64, np.bool_])
def test_features_of_any_number_type_become_float32(npz: WriteNpz, dtype: Any) -> None:
    features = load(npz(x=X.astype(dtype), y=LABELS), {}).features
    assert features.dtype == np.dtype("=f4")
    assert np.array_equal(features, X.astype(dtype))


def test_columns_first_features_become_contiguous(npz: WriteNpz) -> None:
    features = load(npz(x=np.asfortranarray(X, dtype=np.float32), y=LABELS), {}).features
    assert features.flags.c_contiguous
    assert np.array_equal(features, X)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.NPZ.npz", x=X, y=LABELS)
    assert np.array_equal(load(str(tmp_path / "a.NPZ.npz"), {}).features, X)


@pytest.mark.parametrize(
    ("y", "options", "n_classes"),
    [
        (np.array([0, 2, 1]), {}, 3),
        (np.array([0, 2, 1], np.uint8), {}, 3),
        (np.array([0, 3, 1]), {"classes": 10}, 10),
        (np.array([0.0, 3.0, 1.0]), {"classes": 4}, 4),
        (np.array([True, False, True]), {}, 2),
        (np.array([0, 0, 0]), {}, 1),
    ],
)
def test_whole_targets_are_labels(npz: WriteNpz, y: Any, options: Options, n_classes: int) -> None:
    dataset = load(npz(x=X, y=y), options)
    assert dataset.n_classes == n_classes
    assert dataset.targets.dtype == np.int64
    assert np.array_equal(dataset.targets, y)


def test_fractions_are_regression(npz: WriteNpz) -> None:
    dataset = load(npz(x=X, y=np.array([0.0, 3.5, 1.0])), {})
    assert dataset.n_classes == 0
    assert dataset.targets.dtype == np.float32


def test_the_fingerprint_of_a_file_is_its_content_not_its_place(
    npz: WriteNpz, tmp_path: Path
) -> None:
    source = npz(x=X, y=LABELS)
    (tmp_path / "copy.npz").write_bytes((tmp_path / "some.npz").read_bytes())
    before = load(source, {}).fingerprint
    assert load(str(tmp_path / "copy.npz"), {}).fingerprint == before
    assert load(npz(x=X + 1, y=LABELS), {}).fingerprint != before


def test_a_home_folder_may_be_written_with_a_tilde(
    npz: WriteNpz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz(x=X, y=LABELS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/some.npz", {}).n_examples == 3


# --- complaints about names and options


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("digit", "(did you mean 'digits'?)"),
        ("synthetic:softmx", "(did you mean 'synthetic:softmax'?)"),
        ("some.txt", f"there is no such file (seen from {Path.cwd()})"),
        ("", f"there is no such file (seen from {Path.cwd()})"),
    ],
)
def test_an_unknown_source_is_answered_with_the_known_ones(source: str, hint: str) -> None:
    with refuses(f"unknown data source {source!r}: use digits, synthetic:linear") as raised:
        load(source, {})
    assert str(raised.value).endswith(hint)


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        ("digits", {"seed": 1}, "digits: unknown option 'seed', known are: none"),
        (
            "synthetic:linear",
            {"sed": 1},
            "unknown option 'sed', known are: examples, features, noise, seed "
            "(did you mean 'seed'?)",
        ),
        ("a.npz", {"class": 1}, "unknown option 'class', known are: task, classes"),
        ("a.npz", {"classes": 0}, "a.npz: option classes must be finite and at least 1, got 0"),
        ("synthetic:softmax", {"classes": 1}, "option classes must be finite and at least 2"),
        ("synthetic:linear", {"examples": 0}, "option examples must be finite and at least 1"),
        ("synthetic:linear", {"seed": -1}, "option seed must be finite and at least 0, got -1"),
        ("synthetic:linear", {"examples": 1e3}, "option examples must be a whole number"),
        ("synthetic:linear", {"examples": "9"}, "must be a whole number, got '9'"),
        ("synthetic:linear", {"examples": True}, "must be a whole number, got True"),
        ("synthetic:linear", {"noise": "loud"}, "option noise must be a number, got 'loud'"),
        ("synthetic:linear", {"noise": float("nan")}, "must be finite and at least 0, got nan"),
        ("synthetic:linear", {"noise": float("inf")}, "must be finite and at least 0, got inf"),
    ],
)
def test_an_unusable_option_is_refused(source: str, options: Options, complaint: str) -> None:
    with refuses(complaint):
        load(source, options)


@pytest.mark.parametrize("examples", [10**14, 10**18, 10**30])
def test_a_problem_that_fits_no_memory_is_refused(examples: int) -> None:
    with refuses("synthetic:linear: the data set cannot be made"):
        load("synthetic:linear", {"examples": examples})
