"""Targets in a stream: numbers, or classes by whatever the user calls them.

The model's task says what they are, or the option ``task``; where neither does, they are
guessed from their values when all have been seen (:mod:`distbelief.app.datasets.targets.guess`),
in the same way whatever format they come in. So as long as both are possible both are kept: each
target as a number, and as the number of its label in order of appearance. Memory is bounded by
the number of different labels, the rest is on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.checks import (
    FEW_KINDS,
    MAX_GUESSED_CLASSES,
    check_labels,
    check_whole,
)
from distbelief.app.datasets.examples.schema import Label
from distbelief.app.datasets.targets.guess import ADVICE, Evidence, guess
from distbelief.app.datasets.targets.labels import FoundLabels, KnownLabels, whole
from distbelief.app.datasets.targets.numbers import AS_OTHERS, NEEDED, Numbers
from distbelief.app.datasets.targets.spool import Spool
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION, Wanted, listed
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]

#: Labels travel in run records and saved models.
MAX_CLASSES = 100_000


@dataclass(frozen=True)
class Targets:
    """What a column of targets was found to be.

    Attributes:
        n_classes: 0 for numbers.
        labels: names of the classes, unless they are 0, 1, ...
        what: they are, in words, from which it was guessed; empty where it was known.
        blocks: the targets, float32 or numbers of classes.
        origin: what was subtracted from those that are numbers.
    """

    n_classes: int
    labels: tuple[Label, ...]
    what: str
    blocks: Iterator[Array]
    origin: float = 0.0


class TargetColumn:
    """The targets of one data set, taken in piece by piece.

    Args:
        source: for messages.
        wanted: what is known of them.
        folder: where to put what does not stay in memory.
        typed: whether text is text, and not what a text file has of numbers, too: its labels
            are texts, also those that look like numbers.
        column: which one they are, for messages.
    """

    def __init__(
        self,
        source: str,
        wanted: Wanted,
        folder: Path | None = None,
        *,
        typed: bool = False,
        column: str = "",
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._typed = typed
        self._targets = f"the targets, {column}," if column else "the targets"
        self._numbers = Numbers(folder)
        self._labels: _Labels | None = None
        if wanted.kind != REGRESSION:
            self._labels = _Labels(wanted, self._most, folder)
        self._count = 0

    def close(self) -> None:
        self._numbers.spool.close()
        self._forget_labels()

    @property
    def nearly_numbers(self) -> bool:
        """Whether all but a few are numbers, and nobody says that these few may be labels."""
        return self._wanted.kind is None and self._seen().nearly_numbers

    def add(self, values: Array) -> None:
        """Take the next targets, shape (n,): numbers or texts.

        Raises:
            DataError: one of them is not what it should be; the message names its row.
        """
        self._typed |= values.dtype.kind == "U"
        try:
            self._add(values)
        except ValueError as error:
            raise DataError(f"{self._source}: {error}") from None
        self._count += len(values)

    def _add(self, values: Array) -> None:
        if self._wanted.kind == CLASSIFICATION and values.dtype.kind == "f":
            check_whole(values, self._source, self._count)
        if values.dtype.kind in "biuf" and self._wanted.classes is not None:
            check_labels(values, self._wanted.classes, self._source, self._count)
        self._numbers.add(values)
        if self._labels is not None:
            self._labels.add(values, self._count)
            if not self._labels.possible:
                self._forget_labels()

    def finish(self) -> Targets:
        """Conclude what they are.

        Raises:
            DataError: they are not what they should be, or it has to be asked.
        """
        kind, what = self._wanted.kind, ""
        if kind is None:
            kind, what = guess(self._seen())
            if kind is None:
                what = f"{self._targets} are {what}, which may be labels or numbers"
                raise DataError(f"{self._source}: {what}: {ADVICE}")
        if kind == REGRESSION or (what and not self._seen().texts):
            self._numbers.check(self._source, f", {AS_OTHERS if what else NEEDED}")
        if kind == REGRESSION:
            self._check_no_positive()
            known = self._wanted.schema  # others are held against those of the training
            origin = self._numbers.origin() if known is None else known.target_origin
            return Targets(0, (), what, self._numbers.blocks(origin), origin)
        if self._labels is None:
            raise DataError(f"{self._source}: {self._too_many()}")
        self._check_fractions()
        names, table = self._with_positive(*self._labels.names(self._typed))
        counted = all(type(name) is int and name == i for i, name in enumerate(names))
        blocks = (table[block] for block in self._labels.spool.blocks())
        return Targets(len(names), () if counted else names, what, blocks)

    @property
    def _most(self) -> int:
        """How many classes there may be."""
        return MAX_CLASSES if self._wanted.kind else MAX_GUESSED_CLASSES

    def _seen(self) -> Evidence:
        names = None if self._labels is None else self._labels.names(self._typed)[0]
        return self._numbers.seen(self._count, names)

    def _check_fractions(self) -> None:
        """Refuse real numbers as labels, unless there are a few kinds of them, some twice."""
        seen = self._seen() if self._wanted.schema is None else Evidence(0)
        kinds = seen.kinds or 0
        many = kinds > FEW_KINDS or (kinds > 2 and seen.hardly_twice)
        if seen.fractions and not seen.texts and many:
            raise DataError(
                f"{self._source}: {self._targets} are numbers with fractions, {kinds:,} different "
                f"ones in {seen.n_examples:,} examples, and no labels of classes: choose a model "
                f"for numbers, such as linear, or mlp with the option task={REGRESSION}"
            )

    def _check_no_positive(self) -> None:
        if self._wanted.positive is not None:
            raise DataError(
                f"{self._source}: the option positive is for two classes, the targets are numbers"
            )

    def _with_positive(
        self, names: tuple[Label, ...], table: npt.NDArray[np.int64]
    ) -> tuple[tuple[Label, ...], npt.NDArray[np.int64]]:
        """The class that the user calls positive becomes the second one of two."""
        positive = self._wanted.positive
        if positive is None:
            return names, table
        if len(names) != 2:
            raise DataError(
                f"{self._source}: the option positive is for two classes, the targets have "
                f"{len(names)}: {listed(names)}"
            )
        try:
            number = KnownLabels(names)[positive]
        except KeyError:
            raise DataError(
                f"{self._source}: the option positive must be one of the classes "
                f"{listed(names)}, got {positive!r}"
            ) from None
        if number == 1:
            return names, table
        if self._wanted.schema is not None:
            raise DataError(
                f"{self._source}: the positive class of {self._wanted.known_by} is {names[1]}, "
                f"and cannot be {names[0]} here: leave the option positive out"
            )
        return names[::-1], 1 - table

    def _forget_labels(self) -> None:
        if self._labels is not None:
            self._labels.spool.close()
        self._labels = None

    def _too_many(self) -> str:
        advice = ""
        if self._wanted.kind is None:
            advice = (
                ": are these the targets? The option task=classification allows "
                f"{MAX_CLASSES:,}, and the option target names another column"
            )
        return f"{self._targets} have more than {self._most:,} different labels{advice}"


class _Labels:
    """Targets as numbers of labels, as long as that is ``possible``."""

    def __init__(self, wanted: Wanted, most: int, folder: Path | None) -> None:
        self.spool = Spool(np.dtype(np.int64), folder)
        self.possible = True
        self._wanted = wanted
        self._codes = FoundLabels(most) if wanted.labels is None else KnownLabels(wanted.labels)

    def add(self, values: Array, first_row: int) -> None:
        """Raises ValueError for a label that should be known and is not."""
        written = values.tolist()
        try:
            codes = np.fromiter(map(self._codes.__getitem__, written), np.int64, len(written))
        except OverflowError:
            self.possible = False
        except KeyError as error:
            row = written.index(error.args[0])
            raise ValueError(self._wanted.unknown(error.args[0], first_row + row)) from None
        else:
            self.spool.add(codes)

    def names(self, typed: bool) -> tuple[tuple[Label, ...], npt.NDArray[np.int64]]:
        """The names of the classes in ascending order, and the class of each code."""
        if self._wanted.labels is not None:
            return self._wanted.labels, np.arange(len(self._wanted.labels))
        names = _named(list(self._codes), typed)
        ordered = sorted(set(names))
        numbers = {name: number for number, name in enumerate(ordered)}
        return tuple(ordered), np.array([numbers[name] for name in names], np.int64)


def _named(written: list[Any], typed: bool) -> list[Any]:
    """Labels by their names: truth values, texts, or whole numbers if all of them are."""
    if all(isinstance(label, bool) for label in written):
        return written
    wholes = [whole(label) for label in written]
    texts = typed and any(isinstance(label, str) for label in written)
    return list(map(str, written)) if texts or None in wholes else wholes
