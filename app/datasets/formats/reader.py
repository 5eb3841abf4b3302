"""A reader: files in, chunks out, the same each time it is iterated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from distbelief.app.datasets.examples.chunks import Chunk, Columns
from distbelief.app.datasets.examples.faults import Fault, Faults
from distbelief.app.datasets.formats.places import Place
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

#: Called with the bytes read and the bytes in all; the latter is 0 where nobody knows.
Progress = Callable[[int, int], None]


class Reader(ABC):
    """Files of one format, as a stream of chunks; memory does not grow with the files.

    Args:
        places: the files, in their order.
        settings: the options of the format, all of them, checked.
        progress: told, after each chunk, how far it is.
        labelled: whether there must be targets. Without, chunks have none, and those in
            the files are left out.
    """

    #: What a fault's number counts.
    unit: ClassVar[str] = "row"

    def __init__(
        self,
        places: Sequence[Place],
        settings: Mapping[str, Any],
        progress: Progress | None,
        labelled: bool,
    ) -> None:
        self._places = places
        self._settings = settings
        self._labelled = labelled
        self._progress = progress
        self._faults = Faults(settings["bad_lines"])

    @property
    @abstractmethod
    def sparse(self) -> bool:
        """Whether the features of the chunks are CSR rows."""

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """What the features mean; complete after the last chunk."""

    @property
    @abstractmethod
    def same(self) -> dict[str, Scalar]:
        """Options with which other files give the same features; complete after the last chunk."""

    @property
    def places(self) -> Sequence[Place]:
        """All files that are read; a digest of their bytes says when one has changed."""
        return self._places

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
        for place in self._places:
            for chunk in self._chunks(place):
                if len(chunk):
                    anything = True
                    yield chunk
        if not anything:
            names = self._places[0].name + (" and others" if len(self._places) > 1 else "")
            raise DataError(f"{names}: there are no examples, at least one is needed")

    @abstractmethod
    def _chunks(self, place: Place) -> Iterator[Chunk]:
        """The examples of one file; a chunk may be empty."""

    def _fault(self, place: Place, line: int, reason: str) -> None:
        self._faults.add(Fault(place.name, line, reason, self.unit))

    def _report(self, place: Place, position: int) -> None:
        """Tell how far it is: so many bytes of ``place``."""
        if self._progress is None:
            return
        sizes = [each.size for each in self._places]
        before = sum(size or 0 for size in sizes[: self._places.index(place)])
        total = 0 if None in sizes else sum(size or 0 for size in sizes)
        self._progress(before + position, total)
