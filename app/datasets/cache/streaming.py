"""From a stream of chunks to the files of the cache, in bounded memory."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk, CsrRows
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.stored import APART
from distbelief.app.datasets.reading.reader import Reader
from distbelief.app.datasets.targets.column import TargetColumn
from distbelief.app.datasets.targets.numbers import AS_OTHERS, NEEDED
from distbelief.app.datasets.targets.wanted import REGRESSION, Wanted
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import flush

Array = npt.NDArray[Any]


def convert(reader: Reader, source: str, wanted: Wanted, folder: Path) -> tuple[Schema, str]:
    """Write what ``reader`` gives into ``folder``: the files of ``DENSE`` or ``SPARSE``.

    Returns:
        The schema, and what the targets are in words if it was guessed; else empty.

    Raises:
        DataError: the files, or the targets, are unusable.
        OSError: the folder cannot be written.
    """
    if wanted.kind == REGRESSION:
        reader.require_numbers(NEEDED)
    found = _converted(reader, source, wanted, folder)
    if found is None:  # known only now, wherever in the file these few are
        reader.require_numbers(AS_OTHERS)
        found = _converted(reader, source, wanted, folder)
    assert found is not None
    return found


def _converted(
    reader: Reader, source: str, wanted: Wanted, folder: Path
) -> tuple[Schema, str] | None:
    """As :func:`convert`; None if but a few targets, which are bad then, are numbers."""
    with ExitStack() as stack:
        targets = TargetColumn(
            source, wanted, folder, typed=reader.typed, column=reader.target.column
        )
        stack.enter_context(closing(targets))
        features = _SparseFiles(folder) if reader.sparse else _DenseFiles(folder)
        stack.enter_context(closing(features))
        apart = None
        if reader.apart:
            apart = GrowingArray(folder / APART, np.dtype(np.float64))
            stack.enter_context(closing(apart))
        for chunk in reader:
            assert chunk.targets is not None  # the reader was asked for them
            features.add(chunk)
            targets.add(chunk.targets)
            if apart is not None:
                assert chunk.apart is not None
                apart.add(chunk.apart)
        if not reader.columns.n_features:
            raise DataError(
                f"{source}: there are no features, only targets; of LIBSVM files the option "
                "features=N says how many are zero"
            )
        if targets.nearly_numbers:
            return None
        found = targets.finish()
        dtype = np.dtype(np.int64 if found.n_classes else np.float32)
        with closing(GrowingArray(folder / "targets.npy", dtype)) as file:
            for block in found.blocks:
                file.add(block)
    columns = reader.columns
    schema = Schema(
        columns.n_features,
        found.n_classes,
        reader.sparse,
        columns.n_dense,
        columns.n_fields,
        found.labels,
    )
    return schema, found.what


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
