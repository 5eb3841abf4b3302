"""A converted data set as its coordinator lays it down: read from its folder, piece by piece."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from distbelief.app.datasets.examples.stored import files_of
from distbelief.app.datasets.reading.digests import digest_of
from distbelief.app.datasets.staging.depot import MANIFEST, Depot
from distbelief.app.datasets.staging.manifest import META, Manifest, cut


class Content:
    """The files of a folder, open until :meth:`close`: nobody who tidies up takes them away.

    Raises:
        OSError, ValueError: it is no folder of a converted data set (any more).
    """

    def __init__(self, folder: Path, piece_bytes: int) -> None:
        names = (*files_of(folder), META)
        self._open = ExitStack()
        try:
            streams = [self._open.enter_context((folder / name).open("rb")) for name in names]
            self._descriptors = {n: s.fileno() for n, s in zip(names, streams, strict=True)}
            files = tuple((n, os.fstat(d).st_size) for n, d in self._descriptors.items())
            self._pieces = cut(files, piece_bytes)
            digests = tuple(digest_of(self.read(1 + index)) for index in range(len(self._pieces)))
            self.manifest = Manifest(files, piece_bytes, digests)
        except BaseException:
            self._open.close()
            raise
        self.digest = self.manifest.digest
        self.numbers = range(1 + len(self._pieces))

    def read(self, number: int) -> bytes:
        """The content of a piece, of which the first is the manifest."""
        if number == MANIFEST:
            return self.manifest.text
        piece = self._pieces[number - 1]
        found = os.pread(self._descriptors[piece.file], piece.size, piece.start)
        if len(found) != piece.size:
            raise OSError(f"{piece.file} has become shorter")
        return found

    def put(self, depot: Depot) -> int:
        """Lay down what is not there, the manifest last; how many pieces that were."""
        missing = sorted(depot.missing(self.digest, self.numbers), reverse=True)
        for number in missing:
            depot.write(self.digest, number, self.read(number))
        return len(missing)

    def remove(self, depot: Depot) -> None:
        """Take everything away, the manifest first."""
        depot.remove(self.digest, self.numbers)

    def close(self) -> None:
        self._open.close()
