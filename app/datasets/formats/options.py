r"""Options that say how a file is to be read, and the format that its name says.

    format      csv, libsvm, parquet or npy; by default what the names of the files say, or
                else their content
    bad_lines   how many unusable lines are skipped; the next one is an error

Of the targets, in all formats:

    task        classification or regression; by default what the model is for, and if it is for
                both what they look like
    classes     number of classes, which are called 0, 1, 2, ...
    positive    the class that threshold, AUC, precision and recall are about, where there are
                two; by default the second

CSV and Parquet:

    target      column of the targets: its name, or its position from 0. By default the one
                called target, label, y or class; without a header the last one
    ignore      columns to leave out, a comma between two
    categorical columns that hold categories, a comma between two (none: ""). By default
                those with text in them (CSV: in the first megabyte)
    buckets     features for each categorical column; its values are hashed to one of them
    missing     number that stands where a number is missing
    holdout     column that says which examples are held out; the setting of this name sets it
    split       column by which the last examples are held out; likewise

CSV:

    header      true, false or auto: whether the first line holds names
    delimiter   the character between two fields, the word tab, or \s+ for any blanks; by
                default the one with which all lines have as many fields
    comment     what lines without data begin with

LIBSVM:

    features    number of features; by default the largest index says it
    zero_based  whether the first feature has the index 0 instead of 1

CSV and LIBSVM:

    encoding    of the text, by Python's names: cp1252, latin-1, cp949, ...; by default UTF-8,
                and UTF-16 where the file begins with its mark
    skip        lines without data at the beginning of each file
"""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distbelief.app.datasets.reading.apart import APART
from distbelief.app.datasets.reading.delimiters import BLANKS
from distbelief.app.datasets.reading.packing import unpacked_name
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, TASKS, Wanted
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

Options = Mapping[str, Scalar]

#: The format by the ending of a name, of text formats also before that of a packed file.
ENDINGS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".libsvm": "libsvm",
    ".svmlight": "libsvm",
    ".svm": "libsvm",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
}
TEXT_FORMATS = ("csv", "libsvm")

#: Formats whose files have columns of which each may be something else.
TABLES = ("csv", "parquet")

#: Categories are hashed to 32 bits, and these are features of every categorical column.
MOST_BUCKETS = 1 << 30

#: Columns of one file are counted in int32 by many programs that get to see them.
MOST_FEATURES = 2**31 - 1


#: Options of the targets, which files of all formats have.
TARGET_OPTIONS = ("task", "classes", "positive")


@dataclass(frozen=True)
class FormatOption:
    """An option of a format: its default, and the check from a given value to the used one."""

    default: Any
    check: Callable[[Scalar], Any]
    allowed: str


def _whole(lowest: int, highest: int, default: int | None) -> FormatOption:
    def check(value: Scalar) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError
        return value

    return FormatOption(default, check, f"a whole number from {lowest} to {highest}")


def _number(value: Scalar) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value) or abs(value) > 3.4e38:
        raise ValueError
    return float(value)


def _choice(default: Any, **choices: Any) -> FormatOption:
    def check(value: Scalar) -> Any:
        try:
            return choices[str(value).lower()]
        except KeyError:
            raise ValueError from None

    return FormatOption(default, check, " or ".join(choices))


def _delimiter(value: Scalar) -> str:
    if value == BLANKS:
        return BLANKS
    character = "\t" if value in ("tab", "\\t") else value
    if not isinstance(character, str) or len(character) != 1 or character in '"\r\n\0':
        raise ValueError
    return character


def _encoding(value: Scalar) -> str:
    """Python's own name, so that there is one for each."""
    try:
        found = codecs.lookup(str(value)).name
        codecs.getincrementaldecoder(found)().decode("0".encode(found))
    except (LookupError, TypeError, UnicodeError):  # there is none, or it is not one of text
        raise ValueError from None
    return found


def _comment(value: Scalar) -> str:
    if not isinstance(value, str) or not value.strip() or set(value) & set('\r\n\0"'):
        raise ValueError
    return value.strip()


def _column(value: Scalar) -> str:
    if isinstance(value, bool | float):
        raise ValueError
    return str(value)


def _columns(value: Scalar) -> tuple[str, ...]:
    # as a line of a CSV file, so that a name may have a comma in it
    return tuple(name.strip() for name in next(csv.reader([_column(value)]), []))


_FLAG = {"true": True, "false": False}
_BAD_LINES = {"bad_lines": _whole(0, 1_000_000, 0)}
_TEXT = {
    "encoding": FormatOption("utf-8", _encoding, "a name that Python has for an encoding"),
    "skip": _whole(0, 1_000_000, 0),
}
_TABLE = {
    "target": FormatOption(None, _column, "the name or the position of a column"),
    "ignore": FormatOption((), _columns, "names or positions of columns, a comma between two"),
    "categorical": FormatOption(
        None, _columns, "names or positions of columns, a comma between two"
    ),
    "buckets": _whole(1, MOST_BUCKETS, 1 << 16),
    "missing": FormatOption(0.0, _number, "a finite number that fits float32"),
    **{name: FormatOption(None, _column, "the name or the position of a column") for name in APART},
    **_BAD_LINES,
}
KNOWN: Mapping[str, Mapping[str, FormatOption]] = {
    "csv": {
        "header": _choice(None, auto=None, **_FLAG),
        "delimiter": FormatOption(None, _delimiter, f"one character, the word tab, or {BLANKS}"),
        "comment": FormatOption(None, _comment, "the text that such lines begin with"),
        **_TEXT,
        **_TABLE,
    },
    "parquet": _TABLE,
    "libsvm": {
        "features": _whole(1, MOST_FEATURES, None),
        "zero_based": _choice(False, **_FLAG),
        **_TEXT,
        **_BAD_LINES,
    },
    "npy": _BAD_LINES,
}


def format_of(name: str) -> str | None:
    """The format that a file's name says, if any."""
    lower, inner = name.lower(), unpacked_name(name).lower()
    for ending, form in ENDINGS.items():
        if inner.endswith(ending) and (form in TEXT_FORMATS or inner == lower):
            return form
    return None


def resolve(form: str, options: Options, source: str) -> dict[str, Any]:
    """The options of a format, each checked or its default; without ``format`` itself.

    Raises:
        DataError: an option is unknown to the format, or its value is not allowed.
    """
    known = KNOWN[form]
    for name in APART:
        if name in options and name not in known:
            raise DataError(
                f"{source}: {name}={options[name]} names a column, which {form} has not"
            )
    for name in options:
        if name != "format" and name not in known:
            raise DataError(
                f"{source}: unknown option {name!r} of {form} data, known are: format, "
                f"{', '.join(known)}{hint(name, known)}"
            )
    return {name: _checked(name, option, options, source) for name, option in known.items()}


def _checked(name: str, option: FormatOption, options: Options, source: str) -> Any:
    if name not in options:
        return option.default
    try:
        return option.check(options[name])
    except ValueError:
        raise DataError(
            f"{source}: option {name} must be {option.allowed}, got {options[name]!r}"
        ) from None


@dataclass(frozen=True)
class NumberOption:
    """An option that is a number, with its lowest value; a default of None leaves it out."""

    kind: type[int] | type[float]
    default: int | float | None
    lowest: int

    def check(self, label: str, value: object) -> int | float:
        """``value`` as ``kind``; DataError names ``label`` when it is none, or too small."""
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            kind = "a whole number" if self.kind is int else "a number"
            raise DataError(f"{label} must be {kind}, got {value!r}")
        if not self.lowest <= value < math.inf:
            raise DataError(f"{label} must be finite and at least {self.lowest}, got {value!r}")
        return self.kind(value)


_CLASSES = NumberOption(int, None, 1)


def wanted_targets(source: str, options: Options) -> Wanted:
    """Targets as the options ``task``, ``classes`` and ``positive`` want them.

    Raises:
        DataError: a value that is not allowed, or two that contradict each other.
    """
    task, classes = options.get("task"), options.get("classes")
    if task is not None and task not in TASKS:
        raise DataError(f"{source}: option task must be {' or '.join(TASKS)}, got {task!r}")
    if classes is not None and task not in (None, CLASSIFICATION):
        raise DataError(f"{source}: the options task={task} and classes exclude each other")
    checked = None if classes is None else _CLASSES.check(f"{source}: option classes", classes)
    return Wanted(
        None if task is None else str(task),
        None if checked is None else int(checked),
        options.get("positive"),
    )
