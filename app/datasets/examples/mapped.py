"""Arrays in files that are read where they are asked for, whatever their size.

The pages of a memory map that a process has touched count as its own until the kernel
wants them back: a worker that goes through its subset would end with the whole file. (To
hand them back after some reading hardly bounds them: for one example the kernel maps a
quarter of a megabyte.) So large arrays are read into memory of our own; what was read
stays in the kernel's cache of the file, which all processes share.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]

#: The arrays of a data set of at most so many bytes are plain memory maps. They are twice as
#: fast, and this is all that they can take; MNIST is smaller.
MAPPED_BYTES = 192 << 20

#: What lies close together is read in one piece, if that is at most so many times as much.
WASTE = 4


class FileArray:
    """A large array in a file; indexing along the first axis gives copies of what is asked."""

    def __init__(self, array: np.memmap[Any, Any]) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype
        self.nbytes = array.nbytes
        self._offset: int = array.offset
        self._row_bytes = array.nbytes // max(1, len(array))
        self._descriptor = os.open(str(array.filename), os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Positions | slice) -> Array:
        """Copies of ``rows``; the caller asks for as many as its memory holds."""
        if not isinstance(rows, slice):
            return self.ranges(rows, rows + 1)
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self[np.arange(start, stop, step)]
        return self._read(np.array([start]), np.array([max(start, stop)]))

    def ranges(self, starts: Positions, stops: Positions) -> Array:
        """The rows ``starts[i]`` to ``stops[i]`` of all i, one after another."""
        first, last = (int(starts.min()), int(stops.max())) if len(starts) else (0, 0)
        if last - first > WASTE * int((stops - starts).sum()):
            return self._read(starts, stops)
        together = self._read(np.array([first]), np.array([last]))
        return together[_entries(starts - first, stops - first)]

    def _read(self, starts: Positions, stops: Positions) -> Array:
        result = np.empty((int((stops - starts).sum()), *self.shape[1:]), self.dtype)
        buffer, begin = result.reshape(-1).view(np.uint8).data, 0
        sizes = ((stops - starts) * self._row_bytes).tolist()
        offsets = (starts * self._row_bytes + self._offset).tolist()
        for offset, size in zip(offsets, sizes, strict=True):
            self._read_into(buffer[begin : begin + size], offset)
            begin += size
        return result

    def _read_into(self, buffer: memoryview, offset: int) -> None:
        while len(buffer):
            n_bytes = os.preadv(self._descriptor, [buffer], offset)
            if not n_bytes:
                raise EOFError("a file of the data cache has become shorter")
            buffer, offset = buffer[n_bytes:], offset + n_bytes


def open_arrays(paths: Sequence[Path]) -> list[Any]:
    """The arrays of .npy files, read-only; raises what NumPy does on damaged files."""
    arrays = [np.lib.format.open_memmap(path, mode="r") for path in paths]
    if sum(array.nbytes for array in arrays) <= MAPPED_BYTES:
        # Plain arrays: to cut a memmap costs a Python call, and its copies are memmaps, too.
        return [array.view(np.ndarray) for array in arrays]
    return [FileArray(array) for array in arrays]


def gathered(
    arrays: Sequence[Array | FileArray], starts: Positions, stops: Positions
) -> list[Array]:
    """``array[starts[i]:stops[i]]`` of all i, one after another, as a copy; of each array."""
    if any(isinstance(array, FileArray) for array in arrays):
        return [_ranges(array, starts, stops) for array in arrays]
    entries = _entries(starts, stops)
    return [np.asarray(array)[entries] for array in arrays]


def _ranges(array: Array | FileArray, starts: Positions, stops: Positions) -> Array:
    if isinstance(array, FileArray):
        return array.ranges(starts, stops)
    return array[_entries(starts, stops)]


def _entries(starts: Positions, stops: Positions) -> Positions:
    """The positions in all the ranges, one after another."""
    before = np.cumsum(stops - starts) - (stops - starts)
    total = int((stops - starts).sum())
    entries: Positions = np.repeat(starts - before, stops - starts) + np.arange(total)
    return entries
