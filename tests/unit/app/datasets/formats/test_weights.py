"""Weights of examples in files: where they are, what is refused, and who needs them not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.formats.arrays import hand_over, open_arrays
from distbelief.app.datasets.formats.registry import completed
from distbelief.app.datasets.run_data import compatibility_of
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

WEIGHTS = [0.5, 2.0, 0.0, 3.25]
COLUMNS: dict[str, Any] = {
    "a": [1.0, 2.5, 3.0, 4.0],
    "w": WEIGHTS,
    "b": [4, 3, 2, 1],
    "y": list("nyny"),
}
X = [[1.0, 4.0], [2.5, 3.0], [3.0, 2.0], [4.0, 1.0]]
LIBSVM = "-1:0.5 1:1 2:4\n1:2 1:2.5 2:3 # a comment\n\n-1:0 1:3 2:2\n1:3.25 1:4 2:1\n"
NAMED: dict[str, Any] = {"weight": "w", "target": "y"}


def write(folder: Path, kind: str, **changes: Any) -> str:
    """A file of the columns, some of them changed, or left out where they are None."""
    columns = {name: each for name, each in (COLUMNS | changes).items() if each is not None}
    path, rows = folder / f"data.{kind}", zip(*columns.values(), strict=True)
    match kind:
        case "csv":
            path.write_text("\n".join(",".join(map(str, row)) for row in [tuple(columns), *rows]))
        case "tsv":
            path.write_text("\n".join("\t".join(map(str, row)) for row in rows))
        case "parquet":
            parquet.write_table(pa.table(columns), path)
        case "libsvm":
            text = LIBSVM if "w" in columns else re.sub(r"(?m)^(-?1):\S+", r"\1", LIBSVM)
            path.write_text(text)
        case "npz":
            arrays = {"w": columns["w"]} if "w" in columns else {}
            np.savez(path, x=X, y=columns["y"], **arrays)
    return str(path)


FORMATS: dict[str, dict[str, Any]] = {
    "csv": NAMED,
    "tsv": {"weight": 1},
    "parquet": NAMED,
    "libsvm": {"weight": True},
    "npz": {"weight": "w"},
}


def opened(source: str, tmp_path: Path, known: Compatibility | None = None, **more: Any) -> Dataset:
    return open_cached(source, more, tmp_path / "cache", compatibility=known)


def features(dataset: Dataset) -> Any:
    found = dataset.features[:]
    return found if isinstance(found, np.ndarray) else found.toarray()


@pytest.mark.parametrize("kind", FORMATS)
def test_weights_are_no_feature_and_stand_beside_the_examples(tmp_path: Path, kind: str) -> None:
    for _ in ("converted", "from the cache"):
        found = opened(write(tmp_path, kind), tmp_path, **FORMATS[kind])
        assert found.weights[:].tolist() == WEIGHTS
        assert found.weights.dtype == np.float32
        assert features(found).tolist() == X
        assert found.targets[:].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("kind", FORMATS)
def test_other_data_have_the_weights_of_their_own_or_none(tmp_path: Path, kind: str) -> None:
    trained = opened(write(tmp_path, kind), tmp_path, **FORMATS[kind])
    known = compatibility_of(trained, "the training data")
    assert known.weight is not None
    again = write(tmp_path, kind)
    assert opened(again, tmp_path, known).weights[:].tolist() == WEIGHTS
    write(tmp_path, kind, w=None)
    found = opened(again, tmp_path, known)
    assert found.weights is None
    assert features(found).tolist() == features(trained).tolist()
    assert found.targets[:].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-2", "the weight -2 is negative"),
        ("inf", "the weight inf is not finite"),
        ("NaN", "the weight is missing, it is 'NaN'"),
        ("", "the weight is missing"),
        ("much", "the weight 'much' is not a number"),
        ("1e-60", "the weight 1e-60 is too small for float32, which begins at 1.4e-45"),
        ("1e60", "the weight 1e+60 does not fit float32, which ends at 3.4e38"),
    ],
)
def test_a_weight_that_is_none_is_named_with_its_line(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"a,w,y\n1,1,n\n2,{text},y\n3,2,n\n4,0.5,y\n")
    with pytest.raises(DataError, match=re.escape(f"data.csv: line 3: column 'w': {fault} (the")):
        opened(str(path), tmp_path, weight="w")
    found = opened(str(path), tmp_path, weight="w", bad_lines=1)
    assert found.weights[:].tolist() == [1, 2, 0.5]
    assert features(found).tolist() == [[1], [3], [4]]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (-2.0, "the weight -2 is negative"),
        (np.inf, "the weight inf is not finite"),
        (None, "the weight is missing"),
    ],
)
def test_so_it_is_of_parquet(tmp_path: Path, value: Any, fault: str) -> None:
    path = write(tmp_path, "parquet", w=[1, value, 0, 1])
    with pytest.raises(DataError, match=f"row 1: column 'w': {fault}"):
        opened(path, tmp_path, **NAMED)
    found = opened(path, tmp_path, **NAMED, bad_lines=1)
    assert found.weights[:].tolist() == [1, 0, 1]


def test_a_weight_of_text_is_refused_by_its_type(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet", w=list("abcd"))
    with pytest.raises(DataError, match="column 'w' holds text, here it must be numbers"):
        opened(path, tmp_path, **NAMED)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npz"])
def test_weights_that_are_all_zero_are_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, w=[0, 0, 0, 0])
    with pytest.raises(DataError, match=r"data\.\w+: all weights of examples are 0"):
        opened(path, tmp_path, **FORMATS[kind])


def test_numbers_of_another_country_are_weights_too(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('a;w;y\n1;"1.000,5";n\n2;0,25;y\n3;2;n\n')
    found = opened(
        str(path), tmp_path, weight="w", decimal=",", thousands=".", task="classification"
    )
    assert found.weights[:].tolist() == [1000.5, 0.25, 2]


@pytest.mark.parametrize("other", ["target", "ignore", "categorical", "dates"])
def test_a_column_of_weights_is_nothing_else(tmp_path: Path, other: str) -> None:
    path = write(tmp_path, "csv")
    options: dict[str, Any] = {**NAMED, other: "w"}
    with pytest.raises(DataError, match="column 'w' can be only one of target, weight"):
        opened(path, tmp_path, **options)
    with pytest.raises(DataError, match="option weight: there is no column 'v', the file has"):
        opened(path, tmp_path, **{**NAMED, "weight": "v"})


# --- LIBSVM


BAD = {
    "1 1:1": "the weight is missing behind the label '1', LABEL:WEIGHT is needed "
    "(the option weight=false: "
    "there are none)",
    "1:-1 1:1": "the weight -1 is negative",
    "1:nan 1:1": "the weight is missing, it is 'nan'",
    "1:x 1:1": "the weight 'x' is not a number",
    "1: 1:1": "the weight is missing",
    "1:2:3 1:1": "the weight '2:3' is not a number",
    "qid:3 1:1": "qid: (ranking data) is not supported",
    "1:2 qid:3 1:1": "qid: (ranking data) is not supported",
    ":2 1:1": "the target is missing",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_weight_behind_a_label_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.libsvm"
    path.write_text(f"{LIBSVM}{line}\n")
    with pytest.raises(DataError, match=re.escape(f"data.libsvm: line 6: {BAD[line]} (the")):
        opened(str(path), tmp_path, weight=True)
    assert opened(str(path), tmp_path, weight=True, bad_lines=1).weights[:].tolist() == WEIGHTS


def test_labels_with_weights_are_refused_until_somebody_says_that_they_are_there(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "libsvm")
    with pytest.raises(
        DataError, match=r"line 1: there is no label before '-1:0\.5', which the option weight"
    ):
        opened(path, tmp_path)
    assert opened(path, tmp_path, weight="auto").weights[:].tolist() == WEIGHTS


def test_all_weights_of_an_xgboost_file_are_read_as_xgboost_says(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"  # the example of its tutorial on text input, with weights
    path.write_text("1:1.0 101:1.2 102:0.03\n0:0.5 1:2.1 10001:300 10002:400\n0:0.5 0:1.3 1:0.3\n")
    found = opened(str(path), tmp_path, format="libsvm", weight=True, zero_based=True)
    assert found.weights[:].tolist() == [1, 0.5, 0.5]
    assert found.targets[:].tolist() == [1, 0, 0]


# --- from one format to another


def test_weights_of_columns_are_those_of_labels_and_have_no_name_there(tmp_path: Path) -> None:
    named, labels = {"weight": "w", "format": "csv"}, {"weight": "auto", "format": "libsvm"}
    csv, libsvm = write(tmp_path, "csv"), write(tmp_path, "libsvm")
    assert completed(libsvm, {}, named)["weight"] == "auto"
    assert completed(csv, {}, named)["weight"] == "w"
    assert "weight" not in completed(csv, {}, labels)


# --- DataFrames


def frame(*names: str) -> Any:
    return pa.table({name: COLUMNS[name] for name in names})


def test_a_column_of_a_frame_is_its_weights(tmp_path: Path) -> None:
    y, wanted = COLUMNS["y"], Wanted()
    named = {"weight": "w"}
    source = hand_over(frame("a", "w", "b"), y, tmp_path / "a", wanted, options=named)
    found = open_arrays(tmp_path / "a", source)
    assert found.weights[:].tolist() == WEIGHTS
    assert features(found).tolist() == X
    known = compatibility_of(found, "the training data")
    again = hand_over(frame("b", "w", "a"), y, tmp_path / "b", wanted, known)
    assert open_arrays(tmp_path / "b", again).weights[:].tolist() == WEIGHTS
    without = hand_over(frame("b", "a"), y, tmp_path / "c", wanted, known)
    assert open_arrays(tmp_path / "c", without).weights is None


def test_weights_of_a_frame_are_there_and_given_once(tmp_path: Path) -> None:
    table, y, named = frame("a", "w"), COLUMNS["y"], {"weight": "w"}
    with pytest.raises(DataError, match="there are weights twice"):
        hand_over(table, y, tmp_path, Wanted(), options=named, weights=np.ones(4))
    with pytest.raises(DataError, match="there is no column 'v'"):
        hand_over(table, y, tmp_path, Wanted(), options={"weight": "v"})
    with pytest.raises(DataError, match=r"give them as \(features, targets, weights\)"):
        hand_over(np.array(X), y, tmp_path, Wanted(), options=named)


# --- what stands for missing numbers


GAPS = [[1.0, np.nan], [np.nan, 3.0], [3.0, 2.0], [7.0, 8.0], [9.0, np.nan], [11.0, 100.0]]
TIMES = [1, 3, 2, 2, 0, 1]


@pytest.mark.parametrize("missing", ["mean", "median"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "frame", "arrays"])
def test_what_stands_for_a_missing_number_is_that_of_repeated_rows(
    tmp_path: Path, kind: str, missing: str
) -> None:
    gaps, y = np.array(GAPS), np.arange(6) % 2
    rows = np.repeat(gaps, TIMES, axis=0)
    fills = (np.nanmean if missing == "mean" else np.nanmedian)(rows, axis=0)
    expected = np.where(np.isnan(gaps), fills, gaps)
    columns: dict[str, Any] = {"a": gaps[:, 0], "w": TIMES, "b": gaps[:, 1]}
    options: dict[str, Any] = {"missing": missing, "weight": "w"}
    if kind in ("csv", "parquet"):
        numbers = {name: list(each) for name, each in columns.items()}
        source = write(tmp_path, kind, **numbers, y=y.tolist())
        found = opened(source, tmp_path, **options, na="nan")
    elif kind == "npz":
        np.savez(tmp_path / "data.npz", x=gaps, y=y, w=TIMES)
        found = opened(str(tmp_path / "data.npz"), tmp_path, **options)
    else:
        given = None if kind == "frame" else TIMES
        options |= {} if kind == "frame" else {"weight": None}
        options = {name: each for name, each in options.items() if each is not None}
        x = pa.table(columns) if kind == "frame" else gaps
        source = hand_over(x, y, tmp_path / "a", Wanted(), options=options, weights=given)
        found = open_arrays(tmp_path / "a", source)
    assert features(found) == pytest.approx(expected)


def test_as_many_weights_as_examples_are_needed(tmp_path: Path) -> None:
    for x in (np.array(GAPS), pa.table({"a": [1.0, 2, 3, 4]})):
        with pytest.raises(DataError, match=r"there are 3 targets with weights for \d examples"):
            hand_over(x, [0, 1, 0], tmp_path, Wanted(), weights=[1, 2, 3])
