"""Text files as blocks of whole lines, in bounded memory; unpacked where they are gzipped."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.errors import DataError

#: Text that is read, and made into a chunk, at once. What a CSV's columns hold is judged
#: by the first block, so this is part of what a source means.
BLOCK_BYTES = 1 << 20

#: Longer lines are refused: each is in memory as a whole, several times.
LINE_BYTES = 16 << 20

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes:
        content: with the line ends; only the last line of a file may lack its own.
        first: number of the first line, from 1.
        last: whether the file ends here.
        position: bytes of the file, as it is stored, that were read so far.
    """

    content: bytes
    first: int
    last: bool
    position: int


def blocks(file: DataFile) -> Iterator[Block]:
    """Blocks of about ``BLOCK_BYTES``, or one line; a byte order mark is left out.

    Raises:
        DataError: the file cannot be read or unpacked, or a line is too long.
    """
    with file.open() as stored:
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=stored)) if _is_gzip(file) else stored
        first, pieces, more = 1, [_read(stream).removeprefix(_BYTE_ORDER_MARK)], True
        while more:
            following = _read(stream)
            more = bool(following)
            end = pieces[-1].rfind(b"\n") + 1 if more else len(pieces[-1])
            if more and not end:  # still inside of one long line
                pieces.append(following)
                _check_length(pieces, file, first)
                continue
            content = b"".join((*pieces[:-1], pieces[-1][:end]))
            yield Block(content, first, not more, stored.tell())
            first += content.count(b"\n")
            pieces = [piece for piece in (pieces[-1][end:], following) if piece]
            _check_length(pieces, file, first)


def _check_length(pieces: list[bytes], file: DataFile, line: int) -> None:
    if sum(map(len, pieces)) > LINE_BYTES:
        raise DataError(
            f"{file.name}: line {line}: this line is longer than {LINE_BYTES >> 20} MB; "
            "is it text with one example per line?"
        )


def _is_gzip(file: DataFile) -> bool:
    return file.name.lower().endswith(".gz")


def _read(stream: BinaryIO) -> bytes:
    """A full block wherever there is one: remote files may give less at a time."""
    pieces, missing = [], BLOCK_BYTES
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
