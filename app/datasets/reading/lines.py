"""Text files as blocks of whole lines of UTF-8, in bounded memory; unpacked if need be."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.packing import unpacked
from distbelief.app.datasets.reading.text import Text, Utf8
from distbelief.app.errors import DataError

#: Text that is read, and made into a chunk, at once. What a CSV's columns hold is judged
#: by the first block, so this is part of what a source means.
BLOCK_BYTES = 1 << 20

#: Longer lines are refused: each is in memory as a whole, several times.
LINE_BYTES = 16 << 20


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


def blocks(file: DataFile, text: Text) -> Generator[Block, None, None]:
    """Blocks of about ``BLOCK_BYTES``, or one line; a byte order mark is left out.

    Lines that hold no data by ``text`` are blank, so that all keep their numbers.

    Raises:
        DataError: the file cannot be read or unpacked, or a line is too long.
    """
    with file.open() as stored:
        stream = Utf8(unpacked(stored, file.name), text.encoding, BLOCK_BYTES)
        first, pieces, more = 1, [stream.read()], True
        while more:
            following = stream.read()
            more = bool(following)
            end = pieces[-1].rfind(b"\n") + 1 if more else len(pieces[-1])
            if more and not end:  # still inside of one long line
                pieces.append(following)
                _check_length(pieces, file, first)
                continue
            content = b"".join((*pieces[:-1], pieces[-1][:end]))
            yield Block(text.without_comments(content, first), first, not more, stored.tell())
            first += content.count(b"\n")
            pieces = [piece for piece in (pieces[-1][end:], following) if piece]
            _check_length(pieces, file, first)


def _check_length(pieces: list[bytes], file: DataFile, line: int) -> None:
    if sum(map(len, pieces)) > LINE_BYTES:
        raise DataError(
            f"{file.name}: line {line}: this line is longer than {LINE_BYTES >> 20} MB; "
            "is it text with one example per line?"
        )
