"""From a stream of chunks to the files of the cache, in bounded memory."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.cache.filling import StoredNumbers, filled
from distbelief.app.datasets.examples.chunks import NO_NUMBERS, Chunk, CsrRows, Numbers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.statistics import RunningStatistics, Statistics, numbers_of
from distbelief.app.datasets.examples.stored import APART, WEIGHTS
from distbelief.app.datasets.examples.weights import ALL_ZERO
from distbelief.app.datasets.reading.reader import Reader, Unsettled
from distbelief.app.datasets.targets.column import TargetColumn
from distbelief.app.datasets.targets.numbers import AS_OTHERS, NEEDED
from distbelief.app.datasets.targets.wanted import REGRESSION, Wanted
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import flush

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Converted:
    """What was written.

    Attributes:
        schema: what the examples look like.
        guessed: what the targets are in words if it was guessed; else empty.
        statistics: figures of the numbers.
    """

    schema: Schema
    guessed: str
    statistics: Statistics


def convert(reader: Reader, source: str, wanted: Wanted, folder: Path) -> Converted:
    """Write what ``reader`` gives into ``folder``: the files of ``DENSE`` or ``SPARSE``.

    What the columns of a table are is certain only after their last row, and so is whether
    targets are numbers. Where the reader finds that it was wrong about them, everything is written
    anew.

    Raises:
        DataError: the files, or the targets, are unusable.
        OSError: the folder cannot be written.
    """
    if wanted.kind == REGRESSION:
        reader.require_numbers(NEEDED)
    while True:
        try:
            found = _attempted(reader, source, wanted, folder)
        except Unsettled:
            reader.settle()
            continue
        if not reader.holds() and reader.settle():
            continue
        if found.schema is None:  # known only now, wherever in the file these few are
            reader.require_numbers(AS_OTHERS)
        elif not reader.refine(found.numbers, found.statistics):
            break
    schema, statistics = found.schema, found.statistics
    numbers, centres = StoredNumbers(folder, schema), statistics
    if found.means is not None:
        weights = np.load(folder / WEIGHTS, mmap_mode="r")
        numbers, centres = (
            replace(numbers, weights=weights),
            replace(statistics, mean=found.means),
        )
    fills = reader.complete(found.numbers, centres, numbers.medians)
    if fills:
        numbers.fill(fills)
        place, _ = fills[0]
        n_rows = int(statistics.count[place] + found.numbers.missing[place])
        statistics = filled(statistics, fills, n_rows)
    return Converted(schema, found.guessed, statistics)


@dataclass(frozen=True, eq=False)
class _Attempt:
    """Without a schema: but a few targets, which are bad then, are numbers.

    ``means`` are the weighted ones of the numbers, where examples have weights.
    """

    schema: Schema | None
    guessed: str
    numbers: Numbers
    statistics: Statistics
    means: Array | None = None


def _attempted(reader: Reader, source: str, wanted: Wanted, folder: Path) -> _Attempt:
    """One attempt; raises Unsettled, too."""
    with ExitStack() as stack:
        targets = TargetColumn(
            source, wanted, folder, typed=reader.typed, column=reader.target.column
        )
        stack.enter_context(closing(targets))
        files = _Files(reader, folder, stack)
        for chunk in reader.attempt():
            assert chunk.targets is not None  # the reader was asked for them
            files.add(chunk)
            targets.add(chunk.targets)
        columns = reader.columns
        if not columns.n_features:
            raise DataError(
                f"{source}: there are no features, only targets; of LIBSVM files the option "
                "features=N says how many are zero"
            )
        files.check_weights(source)
        statistics = files.statistics.now()
        if targets.nearly_numbers:
            return _Attempt(None, "", files.numbers, statistics)
        found = targets.finish()
        dtype = np.dtype(np.int64 if found.n_classes else np.float32)
        with closing(GrowingArray(folder / "targets.npy", dtype)) as file:
            for block in found.blocks:
                file.add(block)
    schema = Schema(
        columns.n_features,
        found.n_classes,
        reader.sparse,
        columns.n_dense,
        columns.n_fields,
        found.labels,
        found.origin,
    )
    return _Attempt(schema, found.what, files.numbers, statistics, files.means)


class _Files:
    """The files of features, weights and the column apart, and what is found in their numbers."""

    def __init__(self, reader: Reader, folder: Path, stack: ExitStack) -> None:
        self._features = _SparseFiles(folder) if reader.sparse else _DenseFiles(folder)
        stack.enter_context(closing(self._features))
        self._stack = stack
        self._folder = folder
        self._weights: GrowingArray | None = None
        self._any_weight = False
        self._means: RunningStatistics | None = None
        self._apart = None
        if reader.apart:
            self._apart = GrowingArray(folder / APART, np.dtype(np.float64))
            stack.enter_context(closing(self._apart))
        self._n_dense = reader.columns.n_dense
        self.statistics = RunningStatistics(self._n_dense)
        self.numbers = NO_NUMBERS

    def add(self, chunk: Chunk) -> None:
        self._features.add(chunk)
        if self._n_dense:
            self.statistics.add(numbers_of(chunk.features, self._n_dense))
        if chunk.found is not None:
            none = self.numbers is NO_NUMBERS
            self.numbers = chunk.found if none else self.numbers.merged(chunk.found)
        if self._apart is not None:
            assert chunk.apart is not None
            self._apart.add(chunk.apart)
        if chunk.weights is not None:
            self._add_weights(chunk.weights)
            if self._means is not None and self._n_dense:
                self._means.add(numbers_of(chunk.features, self._n_dense), chunk.weights)

    @property
    def means(self) -> Array | None:
        """The weighted means of the numbers; None without weights."""
        return None if self._means is None else self._means.now().mean

    def check_weights(self, source: str) -> None:
        """Raise DataError if there are weights, and all of them are 0."""
        if self._weights is not None and not self._any_weight:
            raise DataError(f"{source}: {ALL_ZERO}")

    def _add_weights(self, weights: Array) -> None:
        if self._weights is None:  # what the first example says
            self._weights = GrowingArray(self._folder / WEIGHTS, np.dtype(np.float32))
            self._stack.enter_context(closing(self._weights))
            self._means = RunningStatistics(self._n_dense, weighted=True)
        self._weights.add(weights)
        self._any_weight |= bool(weights.any())


class GrowingArray:
    """An .npy file of C order that is written row by row; complete once it is closed."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row: tuple[int, ...] = ()) -> None:
        self._dtype = dtype
        self._row = row
        self._count = 0
        self._stream = path.open("wb")
        self._header()

    def add(self, rows: Array) -> None:
        """Append rows of the right shape."""
        self._stream.write(np.ascontiguousarray(rows, self._dtype).data)
        self._count += len(rows)

    def close(self) -> None:
        """Write down how many there are, and everything to the disk."""
        with self._stream:
            self._stream.seek(0)
            self._header()
            flush(self._stream)

    def _header(self) -> None:
        """NumPy leaves room in it for the first axis to grow."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._stream, header)


class _DenseFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._features: GrowingArray | None = None

    def add(self, chunk: Chunk) -> None:
        assert not isinstance(chunk.features, CsrRows)
        if self._features is None:
            width = chunk.features.shape[1]
            path = self._folder / "features.npy"
            self._features = GrowingArray(path, np.dtype(np.float32), (width,))
        self._features.add(chunk.features)

    def close(self) -> None:
        if self._features is not None:
            self._features.close()


class _SparseFiles:
    def __init__(self, folder: Path) -> None:
        self._indptr = GrowingArray(folder / "indptr.npy", np.dtype(np.int64))
        self._indices = GrowingArray(folder / "indices.npy", np.dtype(np.int32))
        self._values = GrowingArray(folder / "values.npy", np.dtype(np.float32))
        self._indptr.add(np.zeros(1, np.int64))
        self._n_entries = 0

    def add(self, chunk: Chunk) -> None:
        rows = chunk.features
        assert isinstance(rows, CsrRows)
        self._indptr.add(rows.indptr[1:] + self._n_entries)
        self._indices.add(rows.indices)  # readers let nothing pass that is no int32
        self._values.add(rows.values)
        self._n_entries += len(rows.indices)

    def close(self) -> None:
        for file in (self._indptr, self._indices, self._values):
            file.close()
