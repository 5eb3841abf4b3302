"""Pairs of .npy files: features, and targets under the same name with y instead of x.

    x.npy, y.npy                  also X.npy
    train-x.npy, train-y.npy      also train_x.npy, train.x.npy; and X, with y or Y

The data source is the file of the features. These are numbers of the shape (n_examples,
n_features), in either memory order; targets are numbers or texts of the shape
(n_examples,). Nothing is ever unpickled. Rows and columns count from 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.examples.column import NUMERIC, Column
from distbelief.app.datasets.reading.column_plan import Beside, ColumnPlan
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.reading.tables import TableReader, faults_of_numbers
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import (
    TOO_LARGE,
    fault_of_number,
    objects,
    to_float32,
)
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

#: Numbers in a chunk: a megabyte of float32.
CHUNK_NUMBERS = 1 << 18

#: What NumPy raises on damaged headers.
_UNREADABLE = (
    KeyError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    TokenError,
)

_FEATURES = re.compile(r"(^|.*[-_./])[xX]\.npy")
_TARGETS = re.compile(r"(^|.*[-_./])[yY]\.npy")


def without_targets(files: Sequence[DataFile]) -> list[DataFile]:
    """The files of features among ``files``; those of targets come with them."""
    return [file for file in files if len(files) == 1 or not _TARGETS.fullmatch(file.name)]


class NpyReader(TableReader):
    """Reads .npy files; all of them have the same number of features.

    Raises:
        DataError: the first file is unusable.
    """

    form = "npy"
    typed = True

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> None:
        super().__init__(files, settings, progress, use)
        with files[0].open() as stream:
            self._n_features = _features(_Array.open(stream, files[0]), files[0]).shape[1]
        missing = settings["missing"]
        fill = None if isinstance(missing, str) else float(missing)
        plan = ColumnPlan((Column(NUMERIC, fill=fill),) * self._n_features, False, 1)
        self._plan = plan if use.known is None else plan.following(use.known.numbers)

    @property
    def files(self) -> Sequence[DataFile]:
        if not self._use.labelled:
            return self._files
        return [each for file in self._files for each in (file, _targets_of(file))]

    @property
    def reading_options(self) -> dict[str, Scalar]:
        return self._missing_options()

    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        with ExitStack() as stack:
            array = _features(_Array.open(stack.enter_context(file.open()), file), file)
            if array.shape[1] != self._n_features:
                raise DataError(
                    f"{file.name}: there are {array.shape[1]} features, the other files have "
                    f"{self._n_features}"
                )
            labels = None
            if self._use.labelled:
                beside = _targets_of(file)
                labels = _Array.open(stack.enter_context(beside.open()), beside)
                _check_targets(labels, len(array), file)
            step = max(1, CHUNK_NUMBERS // self._n_features)
            for start in range(0, len(array), step):
                rows = range(start, min(start + step, len(array)))
                chunk = self._read(array, labels, rows)
                self._report(file, (file.size or 0) * rows.stop // len(array))
                yield chunk

    def _read(self, array: _Array, labels: _Array | None, rows: range) -> Chunk:
        wide = array.read(rows).astype(np.float64)
        bad: dict[int, str] = {}
        if not (np.abs(wide) < TOO_LARGE).all() or self._notation.missing_numbers:
            gone = np.zeros(len(wide), np.bool_)
            for i in self._plan.dense:
                missing = self._fault_of_missing(i)
                for row, why in faults_of_numbers(wide[:, i], gone, missing, self._notation):
                    bad.setdefault(row, f"column {i}: {why}")
        targets = None if labels is None else self._as_targets(labels.read(rows), bad)
        for row, reason in sorted(bad.items()):
            self._fault(array.file, rows.start + row, reason)
        if bad:
            good = [row for row in range(len(rows)) if row not in bad]
            wide, targets = wide[good], None if targets is None else targets[good]
        return self._plan.chunk(wide, [], targets, Beside(tuple(sorted(bad))))

    def _as_targets(self, values: npt.NDArray[Any], bad: dict[int, str]) -> npt.NDArray[Any]:
        """bool, int64, float64 or str; what is wrong with some is added to ``bad``."""
        faults: Iterator[tuple[int, str | None]]
        if values.dtype.kind == "U":
            texts = [text.strip() for text in _texts(values)]
            faults = ((row, self._fault_of_target(text)) for row, text in enumerate(texts))
            bad.update({row: fault for row, fault in faults if fault})
            return objects(texts)
        if values.dtype.kind == "f":
            for row in np.flatnonzero(~np.isfinite(to_float32(values))).tolist():
                bad[row] = f"the target {fault_of_number(float(values[row]))}"
            return values.astype(np.float64)
        for row in np.flatnonzero(values > np.iinfo(np.int64).max).tolist():
            bad[row] = f"the target {values[row]} does not fit 64 bits"
        return values if values.dtype.kind == "b" else values.astype(np.int64)


@dataclass(frozen=True)
class _Array:
    """An .npy file of which some rows are read at a time."""

    file: DataFile
    stream: BinaryIO
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    start: int

    @classmethod
    def open(cls, stream: BinaryIO, file: DataFile) -> _Array:
        try:
            shape, by_columns, dtype = read_header(stream)
        except _UNREADABLE as error:
            raise DataError(
                f"{file.name}: this is no .npy file of one array, or it is cut short: {error}"
            ) from error
        if dtype.hasobject:
            raise DataError(
                f"{file.name}: the file holds pickled Python objects, which are never loaded; "
                "store plain arrays of numbers"
            )
        array = cls(file, stream, shape, dtype, by_columns, stream.tell())
        needed = array.start + math.prod(shape) * dtype.itemsize
        if file.size is not None and file.size != needed:
            raise DataError(
                f"{file.name}: the file announces an array of {needed} bytes and has {file.size}"
            )
        return array

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, rows: range) -> npt.NDArray[Any]:
        """Rows of the array, shape (len(rows), ...)."""
        if len(self.shape) == 1 or not self.by_columns:
            width = math.prod(self.shape[1:])
            values = self._values(rows.start * width, len(rows) * width)
            return values.reshape(len(rows), *self.shape[1:])
        n_rows, n_columns = self.shape
        pieces = [self._values(i * n_rows + rows.start, len(rows)) for i in range(n_columns)]
        return np.stack(pieces, axis=1)

    def _values(self, first: int, count: int) -> npt.NDArray[Any]:
        self.stream.seek(self.start + first * self.dtype.itemsize)
        size = count * self.dtype.itemsize
        content = self.stream.read(size)
        if len(content) != size:
            raise DataError(f"{self.file.name}: the file is cut short")
        return np.frombuffer(content, self.dtype)


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is by columns, and dtype of the array that a stream begins with.

    Raises:
        ValueError, and what else NumPy raises where there is none.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"a header of version {version}")
    shape, by_columns, dtype = _HEADERS[version](stream)
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    return shape, by_columns, dtype


def _features(array: _Array, file: DataFile) -> _Array:
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{file.name}: features must be whole or floating-point numbers, got an array of "
            f"dtype {array.dtype}"
        )
    if len(array.shape) != 2 or not array.shape[1]:
        raise DataError(
            f"{file.name}: features must be a 2-D array (n_examples, n_features), got shape "
            f"{array.shape}"
        )
    return array


def _targets_of(file: DataFile) -> DataFile:
    """The file of targets beside ``file``."""
    if not _FEATURES.fullmatch(file.name):
        raise DataError(
            f"{file.name}: features with targets must be called x.npy or NAME-x.npy, beside "
            "y.npy or NAME-y.npy with the targets"
        )
    stem = file.name.rpartition("/")[2].removesuffix("x.npy").removesuffix("X.npy")
    choices = [file.beside(f"{stem}{letter}.npy") for letter in "yY"]
    for choice in choices:
        if choice.exists():
            return choice
    raise DataError(f"{file.name}: the targets are missing, there is no {choices[0].name}")


def _check_targets(labels: _Array, n_examples: int, file: DataFile) -> None:
    name = labels.file.name
    if labels.dtype.kind not in "biufU" or not labels.dtype.itemsize:
        raise DataError(f"{name}: targets must be numbers or texts, got dtype {labels.dtype}")
    if len(labels.shape) != 1:
        raise DataError(f"{name}: targets must be a 1-D array, got shape {labels.shape}")
    if len(labels) != n_examples:
        raise DataError(
            f"{name}: there are {len(labels)} targets for the {n_examples} examples in {file.name}"
        )


def _texts(values: npt.NDArray[np.str_]) -> list[str]:
    try:
        return [str(text) for text in values.tolist()]
    except ValueError:  # code points that Unicode does not have
        return [""] * len(values)
