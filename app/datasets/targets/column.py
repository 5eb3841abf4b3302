"""Targets in a stream: numbers, or classes by whatever the user calls them.

What the targets are is known for certain only when all have been seen. So as long as both
are possible both are kept: each target as a number, and as the number of its label in order
of appearance. Memory is bounded by the number of different labels, the rest is on disk.

Floating-point numbers are regression; whole numbers and names are labels of classes. Of
text, whole numbers of at most ``MAX_GUESSED_CLASSES`` kinds are labels, other numbers are
regression, anything else is labels. The option ``task`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.checks import MAX_GUESSED_CLASSES, check_labels, check_whole
from distbelief.app.datasets.examples.schema import Label
from distbelief.app.datasets.targets.labels import FoundLabels, KnownLabels, whole
from distbelief.app.datasets.targets.spool import Spool
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION, Wanted
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]

#: Labels travel in run records and saved models.
MAX_CLASSES = 100_000

WHOLE, FLOAT, TEXT = "whole numbers", "floating-point numbers", "text"
_KINDS = {"b": WHOLE, "i": WHOLE, "u": WHOLE, "f": FLOAT}


class TargetColumn:
    """The targets of one data set, taken in piece by piece.

    Args:
        source: for messages.
        wanted: what is known of them.
        folder: where to put what does not stay in memory.
    """

    def __init__(self, source: str, wanted: Wanted, folder: Path | None = None) -> None:
        self._source = source
        self._wanted = wanted
        self._numbers: _Numbers | None = None
        self._labels: _Labels | None = None
        if wanted.kind != CLASSIFICATION:
            self._numbers = _Numbers(folder)
        if wanted.kind != REGRESSION:
            most = MAX_CLASSES if wanted.kind else MAX_GUESSED_CLASSES
            self._labels = _Labels(wanted, most, folder)
        self._kind = ""
        self._count = 0

    def close(self) -> None:
        self._forget_numbers()
        self._forget_labels()

    def add(self, values: Array) -> None:
        """Take the next targets, shape (n,): numbers or texts.

        Raises:
            DataError: one of them is not what it should be; the message names its row.
        """
        self._look_at_kind(_KINDS.get(values.dtype.kind, TEXT))
        try:
            self._add(values)
        except ValueError as error:
            raise DataError(f"{self._source}: {error}") from None
        self._count += len(values)

    def _look_at_kind(self, kind: str) -> None:
        """The type of numbers says what they are, unless the user does; that of text does not."""
        if self._wanted.kind is None and kind != self._kind:
            if self._kind:
                raise DataError(
                    f"{self._source}: targets are {self._kind} first and {kind} later: say with "
                    "the option task what they are, classification or regression"
                )
            if kind == WHOLE:
                self._forget_numbers()
            if kind == FLOAT:
                self._forget_labels()
        self._kind = kind

    def _add(self, values: Array) -> None:
        if self._kind == FLOAT and self._labels is not None:
            check_whole(values, self._source, self._count)
        if self._kind != TEXT and self._wanted.classes is not None:
            check_labels(values, self._wanted.classes, self._source, self._count)
        if self._numbers is not None:
            self._numbers.add(values, self._count)
            if not self._numbers.possible:
                if self._wanted.kind == REGRESSION:
                    raise ValueError(self._numbers.complaint)
                self._forget_numbers()
        if self._labels is not None:
            self._labels.add(values, self._count)
            if not self._labels.possible:
                self._forget_labels()
        if self._numbers is None and self._labels is None:
            raise ValueError(self._too_many())

    def finish(self) -> tuple[int, tuple[Label, ...], Iterator[Array]]:
        """Conclude: (classes or 0, their names unless 0, 1, ..., the targets in blocks).

        Raises:
            DataError: a number is not finite in float32.
        """
        labels, numbers = self._labels, self._numbers
        if labels is None or (numbers is not None and not labels.are_whole):
            assert numbers is not None
            if numbers.complaint:
                raise DataError(f"{self._source}: {numbers.complaint}")
            return 0, (), numbers.spool.blocks()
        names, table = labels.names()
        shown = () if names == tuple(range(len(names))) else names
        return len(names), shown, (table[block] for block in labels.spool.blocks())

    def _forget_numbers(self) -> None:
        if self._numbers is not None:
            self._numbers.spool.close()
        self._numbers = None

    def _forget_labels(self) -> None:
        if self._labels is not None:
            self._labels.spool.close()
        self._labels = None

    def _too_many(self) -> str:
        most, advice = MAX_CLASSES, ""
        if self._wanted.kind is None:
            most = MAX_GUESSED_CLASSES
            advice = (
                ": are these the targets? The option task=classification allows "
                f"{MAX_CLASSES:,}, and task=regression takes them as numbers"
            )
        return f"targets have more than {most:,} different labels{advice}"


class _Numbers:
    """Targets as numbers, as long as that is ``possible``.

    ``complaint`` is about the first that is no finite number in float32.
    """

    def __init__(self, folder: Path | None) -> None:
        self.spool = Spool(np.dtype(np.float32), folder)
        self.possible = True
        self.complaint = ""

    def add(self, values: Array, first_row: int) -> None:
        try:
            numbers = values.astype(np.float64)
        except ValueError:
            row = next(i for i, value in enumerate(values.tolist()) if not _is_number(value))
            self.possible = False
            self.complaint = f"targets must be numbers, row {first_row + row} holds {values[row]!r}"
            return
        with np.errstate(over="ignore"):
            rounded = numbers.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rounded))
        if len(bad) and not self.complaint:
            row = int(bad[0])
            fits = "be finite" if not np.isfinite(numbers[row]) else "fit float32 (at most 3.4e38)"
            self.complaint = f"targets must {fits}, row {first_row + row} holds {values[row]!s}"
        self.spool.add(rounded)


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

    @property
    def are_whole(self) -> bool:
        return all(whole(written) is not None for written in self._codes)

    def names(self) -> tuple[tuple[Label, ...], npt.NDArray[np.int64]]:
        """The names of the classes, and the class of each code."""
        if self._wanted.labels is not None:
            return self._wanted.labels, np.arange(len(self._wanted.labels))
        name = whole if self.are_whole else str
        names: list[Any] = [name(written) for written in self._codes]
        ordered = sorted(set(names))
        numbers = {name: number for number, name in enumerate(ordered)}
        return tuple(ordered), np.array([numbers[name] for name in names])


def _is_number(written: str) -> bool:
    try:
        float(written)
    except ValueError:
        return False
    return True
