"""Columns of another file are taken by the names that they had in the first."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.chunks import Chunk, CsrRows
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.sparse import csr, matrix
from distbelief.app.datasets.formats.registry import open_reader
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.run_data import compatibility_of
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.errors import DataError

COLUMNS: dict[str, list[Any]] = {
    "id": ["r1", "r2", "r3"],
    "age": [5, 6, 7],
    "colour": ["red", "blue", "red"],
    "size": [0.5, 1.5, 2.5],
    "kind": ["a", "b", "a"],
}
OPTIONS: dict[str, Any] = {"target": "kind", "ignore": "id", "buckets": 3}


def csv(path: Path, names: Any, *, header: bool = True, extra: str = "") -> str:
    lines = [",".join(names)] if header else []
    lines += [",".join(str(COLUMNS[name][row]) for name in names) for row in range(3)]
    path.write_text("".join(f"{line}{extra}\n" for line in lines))
    return str(path)


def parquet(path: Path, names: Any) -> str:
    pq.write_table(pa.table({name: COLUMNS[name] for name in names}), path)
    return str(path)


def rows(dataset: Dataset) -> Any:
    return dataset.features[:].toarray(), dataset.targets[:]


def numbers(chunk: Chunk) -> Any:
    """The numeric features of a chunk with one category."""
    assert isinstance(chunk.features, CsrRows)
    return chunk.features.values.reshape(len(chunk), -1)[:, :-1]


@pytest.fixture
def trained(tmp_path: Path) -> Dataset:
    return open_cached(csv(tmp_path / "train.csv", COLUMNS), OPTIONS, tmp_path / "cache")


@pytest.fixture
def known(trained: Dataset) -> Compatibility:
    return compatibility_of(trained, "the model")


def test_it_is_known_which_columns_there_were_and_which_are_features(known: Compatibility) -> None:
    assert known.columns == tuple(COLUMNS)
    assert (known.numeric, known.categorical, known.target) == (
        ("age", "size"),
        ("colour",),
        "kind",
    )
    assert Compatibility.from_json(known.to_json()) == known


@pytest.mark.parametrize("write", [csv, parquet])
def test_columns_in_any_order_give_the_same_examples(
    trained: Dataset, known: Compatibility, write: Any, tmp_path: Path
) -> None:
    file = tmp_path / f"other.{write.__name__}"
    for names in itertools.islice(itertools.permutations(COLUMNS), 0, 120, 17):
        other = open_cached(write(file, names), {}, tmp_path / "cache", compatibility=known)
        for ours, theirs in zip(rows(other), rows(trained), strict=True):
            assert np.array_equal(ours, theirs)
        assert other.facts.names == trained.facts.names


def test_what_was_left_out_may_be_absent_and_so_may_the_targets_of_a_prediction(
    trained: Dataset, known: Compatibility, tmp_path: Path
) -> None:
    other = csv(tmp_path / "other.csv", ["size", "colour", "age"])
    (chunk,) = open_reader(other, {"buckets": 3}, use=Use(labelled=False, known=known))
    assert numbers(chunk).tolist() == [[5, 0.5], [6, 1.5], [7, 2.5]]
    with pytest.raises(DataError, match="there is no column 'kind' with the targets"):
        open_cached(other, {}, tmp_path / "cache", compatibility=known)


def test_columns_without_names_are_taken_in_the_known_order_if_the_user_says_so(
    trained: Dataset, known: Compatibility, tmp_path: Path
) -> None:
    bare = csv(tmp_path / "bare.csv", COLUMNS, header=False)
    other = open_cached(bare, {"header": False}, tmp_path / "cache", compatibility=known)
    assert all(map(np.array_equal, rows(other), rows(trained)))
    words = r"features? 'age', 'size', 'colour'.* say so with the option header=false"
    with pytest.raises(DataError, match=words):
        open_cached(bare, {}, tmp_path / "cache", compatibility=known)
    for names in (["id", "age", "colour", "size"], ["age", "colour", "size"]):
        reader = open_reader(
            csv(tmp_path / "bare.csv", names, header=False),
            {"header": False, "buckets": 3},
            use=Use(labelled=False, known=known),
        )
        (chunk,) = reader
        assert numbers(chunk)[0].tolist() == [5, 0.5]
        assert reader.reading_options["header"] is False
    two = csv(tmp_path / "two.csv", ["age", "size"], header=False)
    with pytest.raises(DataError, match="there are 2 columns without names, those of the model"):
        open_reader(two, {"header": False}, use=Use(labelled=False, known=known))


NAMES = [*COLUMNS]


def test_names_that_are_numbers_are_no_positions(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("4,0,1,2\n1.5,7,a,9\n2.5,8,b,6\n")
    options: dict[str, Any] = {"header": True, "target": "1", "ignore": "0"}
    known = compatibility_of(
        open_cached(str(tmp_path / "train.csv"), options, tmp_path / "cache"), "the model"
    )
    (tmp_path / "new.csv").write_text("2,4\n9,1.5\n")
    (chunk,) = open_reader(
        str(tmp_path / "new.csv"), {"ignore": "0"}, use=Use(labelled=False, known=known)
    )
    assert isinstance(chunk.features, np.ndarray)
    assert chunk.features.tolist() == [[1.5, 9]]
    with pytest.raises(DataError, match="there is no column '1' with the targets"):
        open_reader(str(tmp_path / "new.csv"), {}, use=Use(known=known))


UNFIT: dict[str, tuple[str, dict[str, Any], str]] = {
    "missing": ("id,age,colour,kind", {}, "the model has the feature 'size', there is no column"),
    "mistyped": ("age,colour,sized,kind", {}, r"'size'.*did you mean 'sized'\?"),
    "unknown": (
        "age,colour,size,kind,when",
        {},
        "the model does not know 'when' among.*ignore=when",
    ),
    "twice": ("age,colour,size,size,kind", {}, "two columns are called 'size', rename one"),
    "ignored": ("age,colour,size,kind", {"ignore": "age"}, "column 'age' can be only one of"),
    "target": ("age,colour,size,kind", {"target": "age"}, "column 'age' can be only one of"),
    "category": (
        "age,colour,size,kind",
        {"categorical": "age"},
        "the option categorical must be as for the model: 'colour'",
    ),
    "number": (
        "age,colour,size,kind",
        {"numeric": "colour"},
        "the option numeric must be as for the model: 'age', 'size'",
    ),
    "nowhere": ("age,colour,size,kind", {"ignore": "aged"}, "option ignore: there is no column"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_columns_that_do_not_fit_are_named(known: Compatibility, tmp_path: Path, case: str) -> None:
    names, options, words = UNFIT[case]
    (tmp_path / "other.csv").write_text(names + "\n" + ",".join("1" * len(names.split(","))) + "\n")
    with pytest.raises(DataError, match=words):
        open_reader(str(tmp_path / "other.csv"), options, use=Use(known=known))


def test_an_unknown_column_may_be_left_out_or_come_along(
    known: Compatibility, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("when,size,age,colour\n2020,1.5,6,red\n2021,2,7,blue\n")
    cases: list[tuple[Use, dict[str, Any]]] = [
        (Use(labelled=False, known=known), {"ignore": "when"}),
        (Use(labelled=False, known=known, passed=("when",)), {}),
    ]
    for use, options in cases:
        (chunk,) = open_reader(str(tmp_path / "other.csv"), {**options, "buckets": 3}, use=use)
        assert numbers(chunk)[0].tolist() == [6, 1.5]
        assert chunk.passed == (() if not use.passed else (["2020", "2021"],))


BAD = "id,age,colour,size\nr1,5,red,1\nr2,six,red,1\n\nr3,7,blue\nr4,8,red,2\nr5,x,blue,3\n"


def test_rows_that_are_dropped_leave_gaps_and_keep_what_comes_along(
    known: Compatibility, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text(BAD)
    use = Use(labelled=False, known=known, passed=("id", "age"))
    options = {"bad_lines": 3, "buckets": 3}
    (chunk,) = open_reader(str(tmp_path / "bad.csv"), options, use=use)
    assert len(chunk) == 2
    assert chunk.dropped == (1, 2, 4)
    assert chunk.passed == (["r1", "r2", "", "r4", "r5"], ["5", "six", "", "8", "x"])


def test_rows_of_other_formats_leave_gaps_too(tmp_path: Path) -> None:
    (tmp_path / "a.libsvm").write_text("# a comment\n1:2\n\n1:x\n1:4\n1:y\n")
    (chunk,) = open_reader(str(tmp_path / "a.libsvm"), {"bad_lines": 2}, use=Use(labelled=False))
    assert (len(chunk), chunk.dropped) == (2, (1, 3))
    np.save(tmp_path / "x.npy", np.array([[np.nan], [1.0], [np.inf]]))
    (chunk,) = open_reader(
        str(tmp_path / "x.npy"), {"bad_lines": 2, "missing": "error"}, use=Use(labelled=False)
    )
    assert (len(chunk), chunk.dropped) == (1, (0, 2))
    table = pa.table({"id": ["p", None, "q"], "a": [1.0, np.nan, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    use = Use(labelled=False, passed=("id",))
    options: dict[str, Any] = {"bad_lines": 1, "ignore": "id", "missing": "error"}
    (chunk,) = open_reader(str(tmp_path / "a.parquet"), options, use=use)
    assert (chunk.dropped, chunk.passed) == ((1,), (["p", "", "q"],))


def test_a_format_without_columns_lets_none_come_along(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    with pytest.raises(DataError, match="npy data have no columns that could come along"):
        open_reader(str(tmp_path / "x.npy"), {}, use=Use(labelled=False, passed=("id",)))


# --- what the options of columns made of them goes along

GERMAN = """when;price;colour;id;y
02.01.1970;1.234,5;red;n0;1,5
03.01.1970;k.A.;k.A.;n1;2,5
k.A.;2,25;blue;n2;0,5
"""
SAID: dict[str, Any] = {
    "delimiter": ";", "decimal": ",", "thousands": ".", "na": "k.A.", "dates": "when",
    "date_format": "%d.%m.%Y", "indicator": True, "ignore": "id", "buckets": 3,
    "task": "regression",
}  # fmt: skip


def test_notations_dates_and_what_stands_for_missing_numbers_go_along(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(GERMAN)
    trained = open_cached(str(tmp_path / "train.csv"), SAID, tmp_path / "cache")
    assert trained.targets[:].tolist() == [1.5, 2.5, 0.5]
    dense = trained.features[:].toarray()[:, :4]
    mean = (1234.5 + 2.25) / 2
    expected = [[86400, 1234.5, 0, 0], [172800, mean, 0, 1], [129600, 2.25, 1, 0]]
    assert np.array_equal(dense, np.array(expected, np.float32))
    known = compatibility_of(trained, "the model")
    known = Compatibility.from_json(known.to_json())
    table = [line.split(";") for line in GERMAN.splitlines()]
    for order in itertools.permutations(range(4)):
        lines = [";".join(row[i] for i in order) for row in table]
        (tmp_path / "other.csv").write_text("\n".join(lines))
        source = parse(str(tmp_path / "other.csv"))
        assert isinstance(source, Stream)
        options = source.completed({}, known)
        (chunk,) = source.open_reader(options, use=Use(labelled=False, known=known))
        assert isinstance(chunk.features, CsrRows)
        found = matrix(chunk, trained.schema.n_features)
        assert np.array_equal(csr(found).toarray(), trained.features[:].toarray())
    other = open_cached(str(tmp_path / "train.csv"), {}, tmp_path / "cache", compatibility=known)
    assert all(map(np.array_equal, rows(other), rows(trained)))
    with pytest.raises(DataError, match="the option dates must be as for the model: 'when'"):
        open_reader(str(tmp_path / "train.csv"), {"dates": "price", "delimiter": ";"},
                    use=Use(known=known))  # fmt: skip


def test_what_differs_in_each_row_of_the_training_may_be_there_or_not(tmp_path: Path) -> None:
    lines = [f"n{i},{i % 3},{i % 2}" for i in range(20)]
    (tmp_path / "train.csv").write_text("name,x,y\n" + "\n".join(lines))
    trained = open_cached(str(tmp_path / "train.csv"), {}, tmp_path / "cache")
    known = compatibility_of(trained, "the model")
    for text in ("x,y\n5,1\n", "name,y,x\nn1,1,5\n"):
        (tmp_path / "other.csv").write_text(text)
        (chunk,) = open_reader(str(tmp_path / "other.csv"), {}, use=Use(known=known))
        assert np.asarray(chunk.features).tolist() == [[5]]


def test_a_number_for_which_nothing_stands_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,y\n1,0\n2,1\n")
    options: dict[str, Any] = {"missing": "error"}
    trained = open_cached(str(tmp_path / "train.csv"), options, tmp_path / "cache")
    known = replace(compatibility_of(trained, "the model"), reading={})
    (tmp_path / "other.csv").write_text("x,y\n,0\n2,1\n")
    with pytest.raises(DataError, match=r"line 2: column 'x': the value is missing, and nothing"):
        list(open_reader(str(tmp_path / "other.csv"), {}, use=Use(known=known)))
    options = {"bad_lines": 1}
    (chunk,) = open_reader(str(tmp_path / "other.csv"), options, use=Use(known=known))
    assert (len(chunk), chunk.dropped) == (1, (0,))
