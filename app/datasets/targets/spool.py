"""Numbers that wait: in memory, or in a file without a name once they are many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Bytes that stay in memory, and numbers that are given back together.
SPOOLED_BYTES = 8 << 20
BLOCK = 1 << 18


class Spool:
    """A queue of numbers of one type; ``folder`` is where the file would be."""

    def __init__(self, dtype: np.dtype[Any], folder: Path | None) -> None:
        self._dtype = dtype
        where = None if folder is None else str(folder)
        self._file = SpooledTemporaryFile(SPOOLED_BYTES, dir=where)  # noqa: SIM115  # see close

    def add(self, values: Array) -> None:
        self._file.write(values.tobytes())

    def blocks(self) -> Iterator[Array]:
        self._file.seek(0)
        while content := self._file.read(BLOCK * self._dtype.itemsize):
            yield np.frombuffer(content, self._dtype)

    def close(self) -> None:
        self._file.close()
