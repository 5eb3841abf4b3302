"""The one place that knows pyarrow: Parquet files as batches of columns of NumPy and Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.lines import LINE_BYTES
from distbelief.app.errors import DataError
from distbelief.app.files.memory import size_text
from distbelief.app.settings.extras import needed

Mask = npt.NDArray[np.bool_]

#: Kinds of columns, as messages call them.
TEXT, WHOLE, NUMBERS, TRUTH = "text", "whole numbers", "numbers", "truth values"
MOMENTS, SPANS = "dates or times", "times of a day or durations"

#: How many units of a type with a unit are a second.
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

#: What pyarrow raises on damaged files besides its own errors, which these mostly are.
_UNREADABLE = (ValueError, KeyError, OverflowError, MemoryError, NotImplementedError)

#: Parts of a file that are in memory at once, for each column.
_BUFFER_BYTES = 1 << 20

#: Texts that are in memory at once, each of them with its row.
_BATCH_BYTES = 16 << 20

#: Values of a page, as most programs write them, and bytes of one that are still read.
_PAGE_VALUES, _MOST_PAGE_BYTES = 1024, 256 << 20

_LEFT_OUT = "categories are short, the option ignore leaves a column out"


class ParquetFile:
    """An open Parquet file; values are read while it is open.

    ``constants`` are columns that the file has not, with one value in all rows.
    """

    def __init__(self, stream: Any, source: str, constants: Mapping[str, Constant]) -> None:
        from pyarrow import parquet  # an extra, which takes its time

        metadata = parquet.read_metadata(stream)
        self._texts = _text_columns(metadata)
        self._file = parquet.ParquetFile(
            stream,
            metadata=metadata,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
            # A text that a file has once, for all of its rows, stays one in memory.
            read_dictionary=list(self._texts),
        )
        self._constants = constants
        self.n_rows: int = metadata.num_rows
        self._source = source

    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Name and kind of each column; of one that is none of ours, the name of its type."""
        own = ((field.name, _kind(field.type)) for field in self._file.schema_arrow)
        return (*own, *((name, each.kind) for name, each in self._constants.items()))

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[ParquetBatch]:
        """The columns ``names`` of all rows, at most ``n_rows`` at a time, and so many bytes.

        Raises:
            DataError: a column holds texts that are too long.
        """
        columns = [name for name in names if name not in self._constants]
        for name in columns:
            self._check_pages(name)
        for batch in self._file.iter_batches(n_rows, columns=columns, use_threads=False):
            for rows in _pieces(self._text_bytes(batch)):
                yield ParquetBatch(batch.slice(rows.start, len(rows)), self._constants)

    def _check_pages(self, name: str) -> None:
        """Refuse texts of which a page, which is in memory as a whole, would be too large."""
        for group in range(self._file.num_row_groups if name in self._texts else 0):
            column = self._file.metadata.row_group(group).column(self._texts[name])
            mean = column.total_uncompressed_size / max(1, column.num_values)
            if min(column.total_uncompressed_size, mean * _PAGE_VALUES) > _MOST_PAGE_BYTES:
                raise DataError(
                    f"{self._source}: column {name!r} holds texts of {size_text(mean)} each, of "
                    f"which {size_text(_MOST_PAGE_BYTES)} may be in memory at once: {_LEFT_OUT}"
                )

    def _text_bytes(self, batch: Any) -> npt.NDArray[np.int64]:
        """Bytes of all texts of each row, once every row has its own."""
        from pyarrow import compute

        total = np.zeros(len(batch), np.int64)
        for name in batch.schema.names:
            column = batch.column(name)
            if hasattr(column, "dictionary") and _kind(column.type) == TEXT:
                lengths = compute.binary_length(column.dictionary).fill_null(0)
                found = compute.fill_null(compute.take(lengths, column.indices), 0)
                total += np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
                if (longest := int(total.max(initial=0))) > LINE_BYTES:
                    raise DataError(
                        f"{self._source}: column {name!r}: a row has {size_text(longest)} of text, "
                        f"at most {size_text(LINE_BYTES)} are read: {_LEFT_OUT}"
                    )
        return total


class ParquetBatch:
    """Some columns of some rows."""

    def __init__(self, batch: Any, constants: Mapping[str, Constant]) -> None:
        self._batch = batch
        self._constants = constants

    def __len__(self) -> int:
        return len(self._batch)

    def missing(self, name: str) -> Mask:
        return np.asarray(self._column(name).is_null().to_numpy(zero_copy_only=False), np.bool_)

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """A column of whole or other numbers, or truth values; NaN where it is missing."""
        return np.array(self._cast(name, "float64", safe=False).to_numpy(zero_copy_only=False))

    def seconds(self, name: str) -> npt.NDArray[np.float64]:
        """A column of dates, times or durations, in seconds; NaN where it is missing."""
        column = self._column(name)
        if str(column.type).startswith("date"):
            column = column.cast("timestamp[ms]")
        per_second = _UNITS[column.type.unit]
        whole = column.cast("int32" if str(column.type).startswith("time32") else "int64")
        return (
            np.array(whole.cast("float64", safe=False).to_numpy(zero_copy_only=False)) / per_second
        )

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """A column of whole numbers or truth values; 0 where it is missing."""
        filled = self._cast(name, "int64", safe=True).fill_null(0)
        return np.array(filled.to_numpy(zero_copy_only=False))

    def texts(self, name: str) -> list[str | None]:
        """A column of text or whole numbers; empty where it is missing, None if no UTF-8."""
        column = self._column(name)
        try:
            values = column.to_pylist()
        except UnicodeDecodeError:
            values = [_decoded(value) for value in column.cast("large_binary").to_pylist()]
            missing = self.missing(name)
            return ["" if gone else value for gone, value in zip(missing, values, strict=True)]
        return ["" if value is None else str(value) for value in values]

    def moments(self, name: str) -> npt.NDArray[np.float64]:
        """A column of dates or times as microseconds since 1970; NaN where it is missing."""
        column = self._column(name)
        if str(column.type).startswith("date"):
            column = column.cast("timestamp[ms]")
        micros = column.cast("timestamp[us]", safe=False).cast("int64")
        return np.array(micros.cast("float64").to_numpy(zero_copy_only=False))

    def _cast(self, name: str, to: str, *, safe: bool) -> Any:
        column = self._column(name)
        if str(column.type) == "bool":
            column = column.cast("uint8")
        return column.cast(to, safe=safe)

    def _column(self, name: str) -> Any:
        if name in self._constants:
            return self._constants[name].column(len(self))
        column = self._batch.column(name)
        return column.dictionary_decode() if hasattr(column, "dictionary_decode") else column


def _text_columns(metadata: Any) -> dict[str, int]:
    """The position of each column of bytes, which texts are."""
    columns = [metadata.schema.column(i) for i in range(len(metadata.schema))]
    return {each.path: i for i, each in enumerate(columns) if each.physical_type == "BYTE_ARRAY"}


def _pieces(sizes: npt.NDArray[np.int64]) -> Iterator[range]:
    """Rows that follow one another, of at most ``_BATCH_BYTES``, or one row."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BATCH_BYTES, side="right")))
        yield range(start, stop)
        start = stop


@dataclass(frozen=True)
class Constant:
    """A column with one value in all rows: of text, whole numbers or numbers; None is missing."""

    kind: str
    value: str | int | float | None

    def column(self, n_rows: int) -> Any:
        import pyarrow as pa

        types = {TEXT: pa.string(), WHOLE: pa.int64(), NUMBERS: pa.float64()}
        return pa.repeat(pa.scalar(self.value, types[self.kind]), n_rows)


@contextmanager
def open_parquet(
    file: DataFile, constants: Mapping[str, Constant] = MappingProxyType({})
) -> Iterator[ParquetFile]:
    """Open a Parquet file, and word what goes wrong in the meantime.

    Raises:
        DataError: pyarrow is missing, or the file is damaged.
    """
    arrow = needed("pyarrow", f"{file.name}: Parquet files need pyarrow", "parquet", DataError)
    try:
        with file.open() as stream:
            yield ParquetFile(stream, file.name, constants)
    except (arrow.ArrowException, *_UNREADABLE) as error:
        raise DataError(
            f"{file.name}: this is no Parquet file, or it is damaged or cut short: {error}"
        ) from error


def _kind(kind: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _kind(kind.value_type)
    if types.is_integer(kind):
        return WHOLE
    if types.is_date(kind) or types.is_timestamp(kind):
        return MOMENTS
    if types.is_time(kind) or types.is_duration(kind):
        return SPANS
    if types.is_floating(kind) or types.is_decimal(kind):
        return NUMBERS
    if types.is_boolean(kind):
        return TRUTH
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return TEXT if is_text else str(kind)


def _decoded(value: bytes | None) -> str | None:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        return None
