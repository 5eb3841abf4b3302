"""What targets are taken for, and what is said when they cannot be that."""

from __future__ import annotations

import itertools
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples.checks import MAX_GUESSED_CLASSES
from distbelief.app.datasets.examples.schema import Label, Schema
from distbelief.app.datasets.targets import column, spool
from distbelief.app.datasets.targets.column import TargetColumn
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

Found = tuple[int, tuple[Label, ...], list[Any]]

OPEN, REGRESSION, CLASSIFICATION = Wanted(), Wanted("regression"), Wanted("classification")
TOWNS = Wanted(schema=Schema(1, 2, labels=("a", "b")), known_by="the model")
ODD = Wanted(schema=Schema(1, 3, labels=("1", "1.0", "x")))


def text(*words: object) -> Any:
    return np.array([str(word) for word in words], object)


def found(*pieces: Any, wanted: Wanted = OPEN, folder: Path | None = None) -> Found:
    with closing(TargetColumn("a.csv", wanted, folder)) as column:
        for piece in pieces:
            column.add(piece)
        targets = column.finish()
        n_classes, labels, taken = targets.n_classes, targets.labels, list(targets.blocks)
        assert {block.dtype for block in taken} == {np.dtype(np.int64 if n_classes else np.float32)}
        return n_classes, labels, np.concatenate(taken).tolist()


def refuses(complaint: str) -> pytest.RaisesExc[DataError]:
    return pytest.raises(DataError, match=f"^{re.escape(f'a.csv: {complaint}')}")


CASES: dict[str, tuple[Any, Wanted, Found]] = {
    "0 and 1": (text(0, 1, 1), Wanted(), (2, (), [0, 1, 1])),
    "signs": (text("+1", "-1", "1"), Wanted(), (2, (-1, 1), [1, 0, 1])),
    "any whole numbers": (text(7, 3, 7), Wanted(), (2, (3, 7), [1, 0, 1])),
    "spellings of one number": (
        text("1", "1.0", "+1", "2e0"), CLASSIFICATION, (2, (1, 2), [0, 0, 0, 1])
    ),
    "written by NumPy": (text("0.000e+00", "1.000e+00"), Wanted(), (2, (), [0, 1])),
    "zeros in front": (text("01", "1", "1"), Wanted(), (2, ("01", "1"), [0, 1, 1])),
    "postal codes": (text("00501", "10115"), Wanted(), (2, ("00501", "10115"), [0, 1])),
    "postal codes as numbers": (text("00501", "10115"), REGRESSION, (0, (), [501, 10115])),
    "an underscore": (text("1_0", "10"), CLASSIFICATION, (2, ("10", "1_0"), [1, 0])),
    "far beyond int64": (
        text(10**30, 1), CLASSIFICATION, (2, ("1", f"{10**30}"), [1, 0])
    ),
    "typed text": (np.array(["0", "1"]), Wanted(), (2, ("0", "1"), [0, 1])),
    "typed text that differs": (np.array(["1", "1.0"]), CLASSIFICATION, (2, ("1", "1.0"), [0, 1])),
    "truth as text": (text("True", "False"), Wanted(), (2, ("False", "True"), [1, 0])),
    "truth as numbers": (np.array([True, False]), REGRESSION, (0, (), [1, 0])),
    "truth as text as numbers": (text("true", "false"), REGRESSION, (0, (), [1, 0])),
    "float typed signs": (np.array([-1.0, 1.0]), Wanted(), (2, (-1, 1), [0, 1])),
    "numbers of two types": (np.array([5.0, 1.5]), Wanted(), (0, (), [5, 1.5])),
    "prices": (text(*range(0, 4200, 100)), Wanted(), (0, (), [*range(0, 4200, 100)])),
    "prices as floats": (
        text("151.0", *map(float, range(21))), Wanted(), (0, (), [151, *range(21)])
    ),
    "star ratings": (text("0.5", "4", "0.5"), CLASSIFICATION, (2, ("0.5", "4"), [0, 1, 0])),
    "the first is positive": (text("a", "b"), Wanted(positive="a"), (2, ("b", "a"), [1, 0])),
    "the second is": (text("a", "b"), Wanted(positive="b"), (2, ("a", "b"), [0, 1])),
    "0 is positive": (text("0", "1", "1"), Wanted(positive=0), (2, (1, 0), [1, 0, 0])),
    "of said classes": (text("0", "1"), Wanted(classes=2, positive="0"), (2, (1, 0), [1, 0])),
    "false is positive": (
        np.array([True, False]), Wanted(positive=False), (2, (True, False), [0, 1])
    ),
    "as the model has it": (
        text("b"), Wanted(schema=TOWNS.schema, positive="b"), (2, ("a", "b"), [1])
    ),
    "truth for text": (
        np.array([True]), Wanted(schema=Schema(1, 2, labels=("false", "true"))),
        (2, ("false", "true"), [1]),
    ),
    "text for truth": (
        text("TRUE"), Wanted(schema=Schema(1, 2, labels=(False, True))), (2, (False, True), [1])
    ),
    "beyond exact floats": (
        text(2**53, 2**53 + 1), Wanted(), (2, (2**53, 2**53 + 1), [0, 1])
    ),
    "names": (text("no", "yes", "no"), Wanted(), (2, ("no", "yes"), [0, 1, 0])),
    "names and numbers": (text("1", "2", "many"), Wanted(), (3, ("1", "2", "many"), [0, 1, 2])),
    "fractions": (text(0.5, 1, 2), Wanted(), (0, (), [0.5, 1, 2])),
    "a name like a number": (text("nan", "b"), Wanted(), (2, ("b", "nan"), [1, 0])),
    "one class": (text("a", "a"), Wanted(), (1, ("a",), [0, 0])),
    "whole typed": (np.array([-1, 1]), Wanted(), (2, (-1, 1), [0, 1])),
    "truth": (np.array([True, False]), Wanted(), (2, (False, True), [1, 0])),
    "float typed": (np.array([1.0, 2.0]), Wanted(), (2, (1, 2), [0, 1])),
    "float typed labels": (np.array([1.0, 2.0]), CLASSIFICATION, (2, (1, 2), [0, 1])),
    "whole typed numbers": (np.array([5, 6]), REGRESSION, (0, (), [5, 6])),
    "whole text numbers": (text(5, 6), REGRESSION, (0, (), [5, 6])),
    "fractions as labels": (text(0.5, 1), CLASSIFICATION, (2, ("0.5", "1"), [0, 1])),
    "fewer than said": (text(0, 1), Wanted(classes=4), (4, (), [0, 1])),
    "as in other data": (text("b"), TOWNS, (2, ("a", "b"), [1])),
    "numbers for names": (
        text("1.0", "x"), ODD, (3, ("1", "1.0", "x"), [1, 2])
    ),
    "other spelling as in other data": (
        text("1.0"), Wanted(schema=Schema(1, 2, labels=(-1, 1))), (2, (-1, 1), [1])
    ),
    "few values, but a regression": (text(0, 1), Wanted(schema=Schema(1)), (0, (), [0, 1])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_targets_are_what_they_look_like_or_what_was_said(case: str) -> None:
    values, wanted, expected = CASES[case]
    assert found(values, wanted=wanted) == expected


UNUSABLE: dict[str, tuple[list[Any], Wanted, str]] = {
    "nan among numbers": ([text(1, "nan")], Wanted(), "targets must be finite, row 1 holds nan"),
    "one text in twenty numbers": (
        [text(*range(20), "x")], Wanted(), "targets must be numbers, row 20 holds 'x', as nearly "
        "all others are; the option task=classification takes all for labels",
    ),
    "nan typed among labels": (
        [np.array([0.0, np.nan])], Wanted(), "targets must be finite, row 1 holds nan"
    ),
    "ages": (
        [text(*range(17, 90)), *[text(*range(17, 90))] * 9], Wanted(),
        "the targets are 73 different whole numbers in 730 examples, which may be labels or "
        "numbers: say what they are: the option task=classification or the option task=regression",
    ),
    "letters or rings": (
        [text(*range(26))], Wanted(), "the targets are 26 different whole numbers in 26 examples, "
        "which may be labels or numbers",
    ),
    "real numbers as labels": (
        [text(*(each % 30 / 2 for each in range(99)))], CLASSIFICATION,
        "the targets are numbers with fractions, 30 different ones in 99 examples, and no labels "
        "of classes: choose a model for numbers, such as linear, or mlp with the option "
        "task=regression",
    ),
    "prices as labels": (
        [text(*(each + 0.99 for each in range(10)))], CLASSIFICATION,
        "the targets are numbers with fractions, 10 different ones in 10 examples, and no labels "
        "of classes: choose a model for numbers, such as linear, or mlp with the option "
        "task=regression",
    ),
    "positive of three": (
        [text(*"abc")], Wanted(positive="a"),
        "the option positive is for two classes, the targets have 3: a, b, c",
    ),
    "positive of numbers": (
        [text(0.5, 1)], Wanted(positive=1),
        "the option positive is for two classes, the targets are numbers",
    ),
    "positive of others": (
        [text("no", "yes")], Wanted(positive="y"),
        "the option positive must be one of the classes no, yes, got 'y'",
    ),
    "another positive than the model's": (
        [text("a", "b")], Wanted(schema=TOWNS.schema, known_by="the model", positive="a"),
        "the positive class of the model is b, and cannot be a here: leave the option positive out",
    ),
    "infinity later": (
        [text(0.5), text(1, "-inf")], Wanted(), "targets must be finite, row 2 holds -inf"
    ),
    "too large": ([text(1.5, "1e39")], Wanted(), "targets must fit float32 (at most 3.4e38), row"),
    "nan of numbers": ([np.array([np.nan])], Wanted(), "targets must be finite, row 0 holds nan"),
    "no number": (
        [text(1), text(2, "x")], REGRESSION, "targets must be numbers, row 2 holds 'x'"
    ),
    "half a label": (
        [np.array([1.0]), np.array([0.5])], CLASSIFICATION,
        "labels must be whole numbers, row 1 holds 0.5",
    ),
    "infinite label": (
        [np.array([np.inf])], CLASSIFICATION, "labels must be whole numbers, row 0 holds inf"
    ),
    "beyond the classes": (
        [text(0), text(1, 2)], Wanted(classes=2),
        "labels of 2 classes must be 0 to 1, row 2 holds 2",
    ),
    "negative of classes": (
        [np.array([0]), np.array([1, -1])], Wanted(classes=2),
        "labels must not be negative, row 2 holds -1",
    ),
    "unknown": (
        [text("a"), text("b", "c")],
        TOWNS,
        "row 2 has the label 'c'; the labels of the model are a, b",
    ),
    "a period too many": (
        [text("a", "b.")],
        TOWNS,
        "row 1 has the label 'b.'; the labels of the model are a, b; without the period at its end "
        "it is one of them: sed 's/\\.$//' FILE takes these away",
    ),
    "unknown among many": (
        [text(9)], Wanted(schema=Schema(1, 7), known_by="the model"),
        "row 0 has the label '9'; the labels of the model are 0, 1, 2, 3, 4 and 2 more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_targets_that_cannot_be_used_are_named(case: str) -> None:
    pieces, wanted, complaint = UNUSABLE[case]
    with refuses(complaint):
        found(*pieces, wanted=wanted)


def test_very_many_whole_numbers_are_no_labels() -> None:
    at_most = text(*range(MAX_GUESSED_CLASSES))
    assert found(at_most, wanted=CLASSIFICATION)[0] == MAX_GUESSED_CLASSES
    assert found(text(*range(MAX_GUESSED_CLASSES + 1)))[0] == 0
    assert found(at_most, text(-5))[0] == 0


def same(values: list[int]) -> list[Any]:
    """The same targets as text, as text with a point, and of three types."""
    floats = np.array(values, np.float64)
    return [
        text(*values), np.array(values), np.array(values, np.int32), floats, text(*floats.tolist())
    ]  # fmt: skip


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_labels_mean_the_same_in_every_format(numbers: list[int]) -> None:
    """What NumPy, load_svmlight_file, pandas and spreadsheets make of the same labels."""
    first, *others = (found(values, wanted=CLASSIFICATION) for values in same(numbers))
    assert all(other == first for other in others)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30))
def test_numbers_mean_the_same_in_every_format(numbers: list[int]) -> None:
    first, *others = (found(values, wanted=REGRESSION) for values in same(numbers))
    assert first[0] == 0
    assert all(other == first for other in others)


@given(st.permutations([*map(str, range(30)), "+", "NaN?", "x"]), st.integers(1, 10))
def test_the_order_of_targets_does_not_matter(values: list[str], step: int) -> None:
    pieces = [text(*values[i : i + step]) for i in range(0, len(values), step)]
    with closing(TargetColumn("a.csv", OPEN)) as column:
        for piece in pieces:
            column.add(piece)
        assert column.nearly_numbers  # 30 of 33
    _, labels, codes = found(*pieces, wanted=CLASSIFICATION)
    assert [labels[code] for code in codes] == values


def test_numbers_that_float32_cannot_tell_apart_are_centred_before_they_are_rounded() -> None:
    def centred(values: Any, wanted: Wanted = REGRESSION) -> tuple[float, list[float]]:
        with closing(TargetColumn("a.csv", wanted)) as column:
            column.add(np.array(values))
            result = column.finish()
            return result.origin, [float(y) for block in result.blocks for y in block]

    assert centred([1e9, 1e9 + 1, 1e9 + 4]) == (1_000_000_002, [-2, -1, 2])
    assert centred([1e9 + 1] * 3)[0] == 0  # nothing to tell apart
    assert centred([1e9, 1e9 + 1, 2e9])[0] == 0
    for origin, expected in ((0.0, np.float32(1e9 + 1)), (1e9, 1)):
        known = Wanted(schema=Schema(1, target_origin=origin), known_by="the model")
        assert centred([1e9 + 1, 1e9 + 2], known)[1][0] == expected


def test_many_names_are_refused_unless_they_are_wanted() -> None:
    names = text(*(f"name {i}" for i in range(MAX_GUESSED_CLASSES + 1)))
    with refuses("the targets have more than 1,000 different labels: are these the targets?"):
        found(names)
    assert found(names, wanted=CLASSIFICATION)[0] == MAX_GUESSED_CLASSES + 1


def test_even_wanted_labels_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column, "MAX_CLASSES", 3)
    with pytest.raises(DataError, match=r"more than 3 different labels$"):
        found(text(*"abcd"), wanted=CLASSIFICATION)


@given(
    st.lists(st.lists(st.sampled_from(["3", "-7", "+3", "x", "0.5", "nan", "1e3"]), max_size=9)),
    st.sampled_from([Wanted(), CLASSIFICATION]),
)
def test_how_targets_are_cut_does_not_matter(pieces: list[list[str]], wanted: Wanted) -> None:
    def outcome(parts: list[list[str]]) -> Any:
        try:
            return found(*(text(*part) for part in parts), wanted=wanted)
        except DataError as error:
            return str(error)

    pieces = [piece for piece in pieces if piece] or [["3"]]
    assert outcome(pieces) == outcome([list(itertools.chain(*pieces))])


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=50))
def test_labels_come_back_by_their_numbers(numbers: list[int]) -> None:
    n_classes, labels, codes = found(text(*numbers), wanted=CLASSIFICATION)
    names = labels or tuple(range(n_classes))
    assert [names[code] for code in codes] == numbers
    assert list(names) == sorted(set(numbers))


def test_what_does_not_stay_in_memory_goes_to_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SPOOLED_BYTES", 100)
    monkeypatch.setattr(spool, "BLOCK", 7)
    numbers = [i % 5 for i in range(500)]
    pieces = [text(*numbers[i : i + 50]) for i in range(0, 500, 50)]
    assert found(*pieces, folder=tmp_path) == (5, (), numbers)
    assert list(tmp_path.iterdir()) == []  # the file never had a name
