"""What the first rows made of the columns, held against all others while these are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from distbelief.app.datasets.examples.checks import NEARLY_ALL
from distbelief.app.datasets.reading.cells import Cells
from distbelief.app.datasets.reading.column_plan import ColumnPlan
from distbelief.app.datasets.reading.distinct import Distinct
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.survey import (
    COUNTS,
    DIFFERS,
    ColumnSurvey,
)


class Checks:
    """A column of numbers shows by itself that it is none: one cannot be read.

    One of categories may be of numbers, dates or truth values after all only if nearly all of its
    fields begin as these do, which is quickly counted. And what was left out since it differs in
    each row has to go on doing so; a value that comes twice among the first rows is never taken
    back.

    Attributes:
        guessed: the columns whose kinds are guesses.
    """

    def __init__(self, notation: Notation, guessed: Collection[int]) -> None:
        self.guessed = guessed
        self._notation = notation

    def begin(self, plan: ColumnPlan, unwanted: Mapping[int, str]) -> None:
        """Forget what was seen; the next rows are read by ``plan``.

        ``unwanted`` are columns that were left out, and why.
        """
        self._fields = [(place, i) for place, i in enumerate(plan.fields) if i in self.guessed]
        self._like = [0] * len(plan.fields)
        self._given = [0] * len(plan.fields)
        self._distinct = {i: Distinct() for i, why in unwanted.items() if why == DIFFERS}
        counting = (i for i, why in unwanted.items() if why == COUNTS)
        self._counting = {i: ColumnSurvey(self._notation) for i in counting}

    def begin_file(self) -> None:
        """The next rows are those of another file."""
        for column in self._counting.values():
            column.begin_file()

    def see(self, cells: Cells, texts: Sequence[Sequence[bytes]]) -> None:
        """Take rows, and the texts of their categorical columns; empty where one is missing."""
        for place, column in self._fields:
            self._like[place] += cells.like_numbers(column)
            self._given[place] += len(cells) - texts[place].count(b"")
        for column, distinct in self._distinct.items():
            if distinct.holds:
                distinct.add(text.strip() for text in cells.texts(column))
        for column, survey in self._counting.items():
            survey.add(cells, column)

    def hold(self) -> bool:
        """Whether no other plan is possible for all rows that were seen."""
        if not all(distinct.holds for distinct in self._distinct.values()):
            return False
        if not all(survey.counts_rows for survey in self._counting.values()):
            return False
        pairs = zip(self._like, self._given, strict=True)
        return not any(like >= NEARLY_ALL * given for like, given in pairs if given)
