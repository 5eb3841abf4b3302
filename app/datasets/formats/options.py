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

CSV and Parquet; all but target, holdout, split and bad_lines also tables in memory:

    target      column of the targets: its name, or its position from 0. By default the one
                called target, label, y or class; without a header the last one
    ignore      columns to leave out, a comma between two
    keep        columns to use although they would be left out by default (* for all): what
                counts the rows, or differs in each row
    categorical columns that hold categories, a comma between two, besides those of which
                more than a tenth of the values are text ("": there are none)
    numeric     columns that hold numbers, whatever they look like (* for all others)
    dates       columns of dates and times, which become seconds since 1970
    date_format how dates are written (as of strptime); by default as in ISO 8601
    buckets     features for each categorical column; its values are hashed to one of them
    weight      column of the examples' weights, which is no feature: an example counts as often
                as its weight says
    holdout     column that says which examples are held out; the setting of this name sets it
    split       column by which the last examples are held out; likewise

CSV, Parquet and .npy, and arrays in memory:

    na          words that stand where a value is missing, a comma between two; besides
                nothing at all. By default NA, N/A, NaN, nan, null, NULL, None, ? and -
    missing     what stands where a number is missing: mean or median of its column, a number,
                or error
    indicator   true adds a feature for each column of numbers of which some are missing: 1
                where one is

CSV:

    header      true, false or auto: whether the first line holds names
    delimiter   the character between two fields, the word tab, or \s+ for any blanks; by
                default the one with which all lines have as many fields
    comment     what lines without data begin with

CSV and tables in memory:

    decimal     the character before a fraction, by default a point
    thousands   the character between groups of three digits, by default none
    units       characters beside numbers that are passed over, such as $ or %

LIBSVM:

    features    number of features; by default the largest index says it
    zero_based  whether the first feature has the index 0 instead of 1
    weight      true: each label is followed by the weight of its example, LABEL:WEIGHT; auto:
                if the first one is

NumPy's .npz:

    weight      the array of the examples' weights

CSV and LIBSVM:

    encoding    of the text, by Python's names: cp1252, latin-1, cp949, ...; by default UTF-8,
                and UTF-16 where the file begins with its mark
    skip        lines without data at the beginning of each file
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distbelief.app.datasets.formats.option_kinds import (
    FormatOption,
    NumberOption,
    choice,
    column,
    columns,
    comment,
    date_format,
    delimiter,
    encoding,
    missing,
    punctuation,
    units,
    whole,
    words,
)
from distbelief.app.datasets.reading.apart import APART
from distbelief.app.datasets.reading.delimiters import BLANKS
from distbelief.app.datasets.reading.notation import MISSING_WORDS
from distbelief.app.datasets.reading.packing import unpacked_name
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.datasets.reading.weights import AUTO, WEIGHT
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


_FLAG = {"true": True, "false": False}
_BAD_LINES = {"bad_lines": whole(0, 1_000_000, 0)}
_TEXT = {
    "encoding": FormatOption("utf-8", encoding, "a name that Python has for an encoding"),
    "skip": whole(0, 1_000_000, 0),
}
_COLUMNS = "names or positions of columns, a comma between two"

#: Options of numbers that may be missing, which arrays in memory have, too.
MISSING_OPTIONS: Mapping[str, FormatOption] = {
    "na": FormatOption(MISSING_WORDS, words, "words, a comma between two"),
    "missing": FormatOption("mean", missing, "mean, median, error, or a number that fits float32"),
    "indicator": choice(False, **_FLAG),
}
_FEATURES = {
    WEIGHT: FormatOption(None, column, "the name or the position of a column"),
    "ignore": FormatOption((), columns, _COLUMNS),
    "keep": FormatOption((), columns, f"{_COLUMNS}, or *"),
    "categorical": FormatOption(None, columns, _COLUMNS),
    "numeric": FormatOption((), columns, f"{_COLUMNS}, or *"),
    "dates": FormatOption((), columns, _COLUMNS),
    "date_format": FormatOption(None, date_format, "a format of strptime, such as %d.%m.%Y"),
    "buckets": whole(1, MOST_BUCKETS, 1 << 16),
    **MISSING_OPTIONS,
}
_TABLE = {
    "target": FormatOption(None, column, "the name or the position of a column"),
    **_FEATURES,
    **{name: FormatOption(None, column, "the name or the position of a column") for name in APART},
    **_BAD_LINES,
}
_NOTATION = {
    "decimal": FormatOption(".", punctuation, "one of . , ; ' _ and a blank"),
    "thousands": FormatOption("", punctuation, "one of . , ; ' _ and a blank"),
    "units": FormatOption("", units, "characters that are no letters, digits or punctuation"),
}

#: Options of a table in memory, beside which its targets are handed over.
IN_MEMORY_TABLE: Mapping[str, FormatOption] = {**_NOTATION, **_FEATURES}

KNOWN: Mapping[str, Mapping[str, FormatOption]] = {
    "csv": {
        "header": choice(None, auto=None, **_FLAG),
        "delimiter": FormatOption(None, delimiter, f"one character, the word tab, or {BLANKS}"),
        "comment": FormatOption(None, comment, "the text that such lines begin with"),
        **_NOTATION,
        **_TEXT,
        **_TABLE,
    },
    "parquet": _TABLE,
    "libsvm": {
        "features": whole(1, MOST_FEATURES, None),
        "zero_based": choice(False, **_FLAG),
        WEIGHT: choice(False, auto=AUTO, **_FLAG),
        **_TEXT,
        **_BAD_LINES,
    },
    "npy": {**MISSING_OPTIONS, **_BAD_LINES},
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
    given = {name: value for name, value in options.items() if name != "format"}
    return _resolved(given, known, source, f"{form} data, known are: format")


def table_settings(options: Options, source: str) -> dict[str, Any]:
    """The options of a table in memory, as :func:`resolve` gives those of a format."""
    settings = _resolved(options, IN_MEMORY_TABLE, source, "tables in memory, known are")
    return {**settings, "target": None}


def _resolved(
    options: Options, known: Mapping[str, FormatOption], source: str, of: str
) -> dict[str, Any]:
    for name in options:
        if name not in known:
            raise DataError(
                f"{source}: unknown option {name!r} of {of}{',:'[of.endswith('are')]} "
                f"{', '.join(known)}{hint(name, known)}"
            )
    return {name: _checked(name, option, options, source) for name, option in known.items()}


def missing_settings(options: Options, source: str) -> dict[str, Any]:
    """The options of numbers that may be missing, of what has no others; raises DataError."""
    return {
        name: _checked(name, option, options, source) for name, option in MISSING_OPTIONS.items()
    }


def _checked(name: str, option: FormatOption, options: Options, source: str) -> Any:
    if name not in options:
        return option.default
    try:
        return option.check(options[name])
    except ValueError:
        raise DataError(
            f"{source}: option {name} must be {option.allowed}, got {options[name]!r}"
        ) from None


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
