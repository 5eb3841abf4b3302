"""Readers: files in, chunks out, and again each time one is iterated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar

from distbelief.app.datasets.examples.chunks import Chunk, Columns, Numbers
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.faults import Fault, Faults
from distbelief.app.datasets.examples.statistics import Statistics
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.notation import MISSING_WORDS
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import fault_of_target
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar


class Unsettled(Exception):
    """Rows further on are not what those before made of the columns."""


#: Gives medians of some columns of numbers, of those that were written.
Medians = Callable[[Sequence[int]], Sequence[float]]

#: Called with the bytes read and the bytes in all; the latter is 0 where nobody knows.
Progress = Callable[[int, int], None]


class Reader(ABC):
    """Files of one format, as a stream of chunks; memory does not grow with the files.

    Args:
        files: all that are read, in their order.
        settings: the options of the format, all of them, checked.
        progress: told, after each chunk, how far it is.
        use: what they are read for.
    """

    #: The name of the format.
    form: ClassVar[str]

    #: What a fault's number counts.
    unit: ClassVar[str] = "row"

    #: Whether files say of each target if it is a text or a number.
    typed: ClassVar[bool] = False

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> None:
        self._files = files
        self._settings = settings
        self._use = use
        self._progress = progress
        self._faults = Faults(settings["bad_lines"])
        self._needs_number = ""
        self._missing = settings.get("na", MISSING_WORDS)

    @property
    def apart(self) -> bool:
        """Whether the chunks have values of a column that is no feature."""
        return False

    @property
    @abstractmethod
    def sparse(self) -> bool:
        """Whether the features of the chunks are CSR rows."""

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """The meaning of the features; complete after the last chunk."""

    @property
    @abstractmethod
    def reading_options(self) -> dict[str, Scalar]:
        """Options with which other files give the same features; complete after the last chunk."""

    @property
    def files(self) -> Sequence[DataFile]:
        """All files that are read; a digest of their bytes says when one has changed."""
        return self._files

    @property
    def skipped(self) -> Sequence[Fault]:
        """The bad lines of the last iteration."""
        return self._faults.skipped

    @property
    def target(self) -> TargetChoice:
        """Which column the targets are, and why."""
        return TargetChoice()

    def require_numbers(self, why: str) -> None:
        """Take lines whose target is no number for bad ones from now on."""
        self._needs_number = why

    @property
    def table(self) -> tuple[Column, ...]:
        """All columns of a table; empty for what is none."""
        return ()

    def settle(self) -> bool:
        """Look at all rows, and decide for good what the columns are; False if it is as before."""
        return False

    def holds(self) -> bool:
        """After :meth:`attempt`: whether all rows were what the first ones made of the columns."""
        return True

    def refine(self, found: Numbers, statistics: Statistics) -> bool:
        """Read numbers otherwise from now on if that is better; says whether it is."""
        return False

    def complete(
        self, found: Numbers, statistics: Statistics, medians: Medians
    ) -> list[tuple[int, float]]:
        """Decide what is filled in, at last.

        Returns:
            The features of which some are still NaN, and what has to be written there.

        Raises:
            DataError: numbers are missing, and the known data do not say what stands for them.
        """
        return []

    def __iter__(self) -> Iterator[Chunk]:
        """Read everything, from the beginning.

        Raises:
            DataError: a file or a line is unusable, or there are no examples.
        """
        self.settle()
        for chunk in self.attempt():
            if chunk.found is not None:
                self._check_fills(chunk.found)
            yield chunk

    def _check_fills(self, found: Numbers) -> None:  # noqa: B027  # most have nothing to fill
        """Raise DataError if something is missing for which nothing stands."""

    def attempt(self) -> Iterator[Chunk]:
        """Read everything by what is known of the columns so far.

        Raises:
            DataError: a file or a line is unusable, or there are no examples.
            Unsettled: there is to be another attempt, after :meth:`settle`.
        """
        self._faults.skipped.clear()
        anything = False
        for file in self._files:
            for chunk in self._chunks(file):
                if len(chunk):
                    anything = True
                if len(chunk) or chunk.dropped:
                    yield chunk
        if not anything:
            names = self._files[0].name + (" and others" if len(self._files) > 1 else "")
            raise DataError(f"{names}: there are no examples, at least one is needed")

    @abstractmethod
    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        """The examples of one file; a chunk may be empty."""

    def _fault_of_target(self, text: str) -> str | None:
        return fault_of_target(text, self._needs_number, self._missing)

    def _fault(self, file: DataFile, line: int, reason: str) -> None:
        self._faults.add(Fault(file.name, line, reason, self.unit))

    def _report(self, file: DataFile, position: int) -> None:
        """Tell how far it is: so many bytes of ``file``."""
        if self._progress is None:
            return
        before, total = self._bytes_before
        self._progress(before[file.path] + position, total)

    @cached_property
    def _bytes_before(self) -> tuple[dict[str, int], int]:
        """The bytes of all files before each one; and of all, 0 where one does not say."""
        sizes = [each.size for each in self._files]
        starts = accumulate((size or 0 for size in sizes), initial=0)
        before = dict(zip((each.path for each in self._files), starts, strict=False))
        return before, 0 if None in sizes else sum(size or 0 for size in sizes)
