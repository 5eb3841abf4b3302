"""Readers: files in, chunks out, and again each time one is iterated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from distbelief.app.datasets.examples.chunks import Chunk, Columns
from distbelief.app.datasets.examples.faults import Fault, Faults
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

#: Called with the bytes read and the bytes in all; the latter is 0 where nobody knows.
Progress = Callable[[int, int], None]


class Reader(ABC):
    """Files of one format, as a stream of chunks; memory does not grow with the files.

    Args:
        files: all that are read, in their order.
        settings: the options of the format, all of them, checked.
        progress: told, after each chunk, how far it is.
        labelled: whether there must be targets. Without, chunks have none, and those in
            the files are left out.
    """

    #: The name of the format.
    form: ClassVar[str]

    #: What a fault's number counts.
    unit: ClassVar[str] = "row"

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        labelled: bool,
    ) -> None:
        self._files = files
        self._settings = settings
        self._labelled = labelled
        self._progress = progress
        self._faults = Faults(settings["bad_lines"])

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

    def __iter__(self) -> Iterator[Chunk]:
        """Read everything, from the beginning.

        Raises:
            DataError: a file or a line is unusable, or there are no examples.
        """
        self._faults.skipped.clear()
        anything = False
        for file in self._files:
            for chunk in self._chunks(file):
                if len(chunk):
                    anything = True
                    yield chunk
        if not anything:
            names = self._files[0].name + (" and others" if len(self._files) > 1 else "")
            raise DataError(f"{names}: there are no examples, at least one is needed")

    @abstractmethod
    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        """The examples of one file; a chunk may be empty."""

    def _fault(self, file: DataFile, line: int, reason: str) -> None:
        self._faults.add(Fault(file.name, line, reason, self.unit))

    def _report(self, file: DataFile, position: int) -> None:
        """Tell how far it is: so many bytes of ``file``."""
        if self._progress is None:
            return
        sizes = [each.size for each in self._files]
        before = sum(size or 0 for size in sizes[: self._files.index(file)])
        total = 0 if None in sizes else sum(size or 0 for size in sizes)
        self._progress(before + position, total)
