"""The format of a file by its content, where its name says none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing

from distbelief.app.datasets.formats.options import ENDINGS, KNOWN
from distbelief.app.datasets.reading.delimiters import LINES, fitting
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.lines import blocks
from distbelief.app.datasets.reading.packing import PACKINGS, unpacked
from distbelief.app.datasets.reading.text import Text
from distbelief.app.errors import DataError

#: The first bytes of the formats that have some, and of others that people give us.
_OURS = {b"PAR1": "parquet", b"\x93NUMPY": "npy"}
_OTHERS: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive: unpack it; if it is one of NumPy let its name end in "
    ".npz, if it is of Excel save it as CSV",
    b"\x89HDF": "HDF5: write a CSV or Parquet file of it",
    b"ORC": "ORC: write a Parquet file of it",
    b"Obj\x01": "Avro: write a Parquet file of it",
    b"ARROW1": "Arrow or Feather: write a Parquet file of it",
    b"\0\0\x08\x03": "IDX: let its name end in images-idx3-ubyte",
    b"\xd0\xcf\x11\xe0": "an Excel file: save it as CSV",
    b"<": "HTML or XML",
    b"{": "JSON: write a CSV or Parquet file of it",
    b"[": "JSON: write a CSV or Parquet file of it",
    b"@": "ARFF: the option format=csv with comment=@ reads it if nothing in it is sparse",
}

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LABEL = rb"(?:[^\s:,;|\"]+|" + _NUMBER + rb"(?:," + _NUMBER + rb")+)"
_PAIR = rb"\d+:[^\s:,;|]+"
_LIBSVM = re.compile(
    rb"(?:" + _LABEL + rb"(?=\s|$))?(?:\s*qid:\d+)?(?:(?:^|(?<=\s))" + _PAIR + rb"|\s)*(?:#.*)?"
)


def certain_format(file: DataFile) -> str | None:
    """The format if the first bytes say it beyond doubt.

    Raises:
        DataError: the file cannot be read, or is of a format that nobody reads here.
    """
    with file.open() as stored:
        head = unpacked(stored, file.name).read(8)
    for magic, form in _OURS.items():
        if head.startswith(magic):
            return form
    for magic, words in _OTHERS.items():
        if head.startswith(magic):
            raise DataError(f"{file.name}: this looks like {words}; {advice()}")
    return None


def format_by_content(file: DataFile) -> str:
    """The format of a file whose name says none.

    Raises:
        DataError: it cannot be read, or its content does not say what it is.
    """
    if form := certain_format(file):
        return form
    with closing(blocks(file, Text())) as stream:
        content = next(stream).content
    lines = [line.strip() for line in content.split(b"\n", LINES)[:LINES]]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    if any(re.search(rb"(?:^|\s)\d+:\S", line) for line in lines) and all(
        map(_LIBSVM.fullmatch, lines)
    ):
        return "libsvm"
    if b"\0" not in content and fitting(content):
        return "csv"
    raise DataError(
        f"{file.name}: neither its name nor its content says what format this is; {advice()}"
    )


def advice() -> str:
    """Say how a format is known."""
    return (
        f"names end in {', '.join(ENDINGS)} (text also in {', '.join(PACKINGS)}), or the option "
        f"format says {', '.join(KNOWN)}"
    )
