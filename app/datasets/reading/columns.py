"""The use of each column of a table: from its names, its first rows and the options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import chain, combinations, count
from typing import Any

from distbelief.app.datasets.examples.column import (
    CATEGORICAL,
    DATE,
    IGNORED,
    NUMERIC,
    TARGET,
    WEIGHT,
    Column,
)
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.apart import given
from distbelief.app.datasets.reading.column_plan import ColumnPlan
from distbelief.app.datasets.reading.dates import how_written
from distbelief.app.datasets.reading.survey import ANOTHER_WRITING, Guess
from distbelief.app.datasets.reading.values import shown
from distbelief.app.errors import DataError

#: Columns that hold the targets unless the option says otherwise; in any case of letters.
TARGET_NAMES = ("target", "label", "y", "class")


def names_of(header: Sequence[str]) -> tuple[str, ...]:
    """The names that a header gives; a column without one is called as pandas calls it."""
    names = [field.strip() for field in header]
    for position in (i for i, name in enumerate(names) if not name):
        name = f"Unnamed: {position}"
        choices = chain([name], (f"{name}.{suffix}" for suffix in count(1)))
        names[position] = next(choice for choice in choices if choice not in names)
    return tuple(names)


def plan_columns(
    columns: AllColumns, guesses: Sequence[Guess], settings: Mapping[str, Any], labelled: bool
) -> ColumnPlan:
    """Plan what each column is for.

    Args:
        columns: all that the file has.
        guesses: what each seems to be.
        settings: the options of a table, all of them, checked.
        labelled: whether targets are wanted; else they are left out if they are there.

    Raises:
        DataError: a column does not exist or has two uses, two have the same name, or one
            holds what is neither numbers nor categories.
    """
    columns.check()
    uses = _Uses(columns, guesses, settings, labelled)
    left = [i for i in range(columns.width) if i != uses.target and i not in uses.ignored]
    if not left:
        raise DataError(
            f"{columns.source}: no column is left for features, the file has "
            f"{columns.listed()}; is the option delimiter right?"
        )
    unwanted = {i for i in left if guesses[i].unwanted and not uses.is_wanted(i)}
    if unwanted == set(left):
        unwanted = set()
    missing = settings["missing"]
    fill = None if isinstance(missing, str) else float(missing)

    def column(i: int) -> Column:
        name, guess = columns.names[i] if columns.names else "", guesses[i]
        if i == uses.target and labelled and not guess.are_labels:
            raise DataError(uses.unclear(i, guess))
        if i == uses.target:
            return Column(TARGET if labelled else IGNORED, name)
        if i == uses.weight and labelled:
            return Column(WEIGHT, name)
        if i in uses.ignored:
            return Column(IGNORED, name, remark=f"as the option {uses.left_out_by(i)} says")
        if i in unwanted:
            return Column(IGNORED, name, remark=guess.unwanted)
        kind = uses.kind(i, guess)
        fills = fill if kind != CATEGORICAL else None
        return Column(kind, name, fill=fills, remark=guess.unwanted or guess.remark)

    table = tuple(column(i) for i in range(columns.width))
    return ColumnPlan(table, bool(columns.names), settings["buckets"], apart=uses.apart)


class _Uses:
    """What the options say of the columns."""

    def __init__(
        self,
        columns: AllColumns,
        guesses: Sequence[Guess],
        settings: Mapping[str, Any],
        labelled: bool,
    ) -> None:
        self._guesses = guesses
        self.target = _target(columns, settings["target"], labelled)
        self.ignored = {columns.find("ignore", key) for key in settings["ignore"]}
        self.apart = apart_column(columns, settings, labelled=labelled)
        self._apart_option = given(settings)
        if self.apart is not None:
            self.ignored.add(self.apart)
        self.weight = weight_column(columns, settings, labelled=labelled)
        if self.weight is not None:
            if self.weight in self.ignored:
                raise columns.twice(self.weight)
            self.ignored.add(self.weight)
        self._columns = columns
        self._all = "*" in settings["keep"]
        kept = {columns.find("keep", key) for key in settings["keep"] if key != "*"}
        self._dates = {columns.find("dates", key) for key in settings["dates"]}
        self._fields, self._numbers = told_kinds(columns, settings)
        self._wanted = kept | self._dates | self._fields | self._numbers
        self._guessed = guessed_columns(columns, settings)
        target = set() if self.target is None else {self.target}
        exclusive = (target, self.ignored, self._dates, self._fields, self._numbers)
        for some, others in (*combinations(exclusive, 2), (self.ignored, kept)):
            for column in some & others:
                raise columns.twice(column)

    def is_wanted(self, column: int) -> bool:
        """Whether a column is used although it does not look as if it should be."""
        return self._all or column in self._wanted

    def left_out_by(self, column: int) -> str:
        """The option that says that a column is no feature."""
        if self._apart_option and column == self.apart:
            return self._apart_option[0]
        return "weight" if column == self.weight else "ignore"

    def kind(self, column: int, guess: Guess) -> str:
        """The kind of a column of features; DataError if that has to be said."""
        if column in self._dates:
            return DATE
        if column in self._fields:
            return CATEGORICAL
        if column not in self._guessed:
            return NUMERIC
        if guess.kind not in (NUMERIC, CATEGORICAL):
            raise DataError(self.unclear(column, guess))
        return guess.kind

    def unclear(self, column: int, guess: Guess) -> str:
        """The sentence about a column that is neither numbers nor categories by itself."""
        key = self._columns.key(column)
        what = f"{self._columns.source}: column {key!r} holds"
        leave = f"the option ignore={self._columns.listing([column])} leaves the column out"
        others = f", {self._columns.as_category(column)}, {leave}"
        if column == self.target:
            others = ""
        example = f" such as {shown(guess.example)}" if guess.example else ""
        if guess.kind == DATE:
            told = {self.target, *self.ignored, *self._fields, *self._numbers}
            dates = (i for i, each in enumerate(self._guesses) if each.kind == DATE)
            keys = self._columns.listing(i for i in dates if i not in told)
            form = how_written(guess.example) if guess.example else ""
            return (
                f"{what} dates or times{example}: the option dates={keys} "
                f"reads them as seconds since 1970{form and f' ({form})'}{others}"
            )
        if guess.kind == ANOTHER_WRITING:
            return (
                f"{what} numbers in another writing, such as {shown(guess.example)}: "
                f"{_advice(guess.example)}{others}"
            )
        return (
            f"{what} {guess.kind}, here it must be numbers, whole numbers, truth values, text, "
            f"or dates (the option dates={key}); the option ignore leaves columns out"
        )


def _advice(number: str) -> str:
    """What makes a number like this one readable."""
    signs = "".join(sign for sign in "$€£¥%" if sign in number)
    number = number.translate(dict.fromkeys(map(ord, signs))).strip()
    options = [f"the option units={shlex.quote(signs)}"] if signs else []
    separators = [character for character in number if character in ".,' _\u00a0\u202f"]
    last = separators[-1] if separators else "."
    if separators.count(last) == 1 and len(number.rpartition(last)[2]) != 3:
        between = sorted({*separators[:-1]})
        options += [f"the option thousands={shlex.quote(each)}" for each in between]
        options += [f"the option decimal={last}"] if last != "." else []
    elif separators:
        sign = shlex.quote(last)
        options += [f"the option thousands={sign} (or the option decimal={sign})"]
    return f"with {' and '.join(options)} they are read"


def told_kinds(
    columns: AllColumns, settings: Mapping[str, Any]
) -> tuple[frozenset[int], frozenset[int]]:
    """The columns that are categories, and those that are numbers, because options say so."""
    fields = (columns.find("categorical", key) for key in settings["categorical"] or ())
    numbers = (columns.find("numeric", key) for key in settings["numeric"] if key != "*")
    return frozenset(fields), frozenset(numbers)


def guessed_columns(columns: AllColumns, settings: Mapping[str, Any]) -> frozenset[int]:
    """The columns of which no option says whether they are categories or numbers."""
    if "*" in settings["numeric"] or settings["categorical"] == ():
        return frozenset()
    return frozenset(range(columns.width)).difference(*told_kinds(columns, settings))


def apart_column(columns: AllColumns, settings: Mapping[str, Any], *, labelled: bool) -> int | None:
    """The column that says how examples are divided; to predict, nobody needs it."""
    option = given(settings)
    return None if option is None or not labelled else columns.find(*option)


def weight_column(
    columns: AllColumns, settings: Mapping[str, Any], *, labelled: bool
) -> int | None:
    """The column of the examples' weights; to predict, nobody needs it."""
    key = settings["weight"]
    if key is None:
        return None
    return columns.find("weight", key) if labelled else columns.look_up(key)


def _target(columns: AllColumns, given: str | None, labelled: bool) -> int | None:
    """The column that the features are without."""
    if given is not None:
        return columns.find("target", given) if labelled else columns.look_up(given)
    if not columns.names:
        return columns.width - 1 if labelled else None
    known = known_targets(columns.names)
    if len(known) > 1 or (labelled and not known):
        several = " and ".join(repr(columns.names[i]) for i in known)
        found = f"several columns, {several}, are" if known else "no column is"
        raise DataError(
            f"{columns.source}: {found} called {', '.join(TARGET_NAMES[:-1])} or "
            f"{TARGET_NAMES[-1]}: say with the option target which one holds the targets, the "
            f"file has {columns.listed()}"
        )
    return known[0] if known else None


def target_choice(
    plan: ColumnPlan, settings: Mapping[str, Any], *, header: bool | None
) -> TargetChoice:
    """Which column the plan takes for the targets, and why; ``header`` as in ``TargetChoice``."""
    if plan.target is None:
        return TargetChoice(header=header)
    if settings["target"] is not None:
        why = "as the option target says"
    else:
        why = "by its name" if plan.names else "the last one, as no header names one"
    return TargetChoice(plan.name(plan.target), why, header)


def known_targets(names: Sequence[str]) -> list[int]:
    """Positions of the names that a column of targets commonly has."""
    return [i for i, name in enumerate(names) if name.lower() in TARGET_NAMES]
