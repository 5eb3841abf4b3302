"""The manifest of a converted data set that travels: its files, cut into pieces, with digests.

It is JSON. Its own digest names the data set, so whoever has heard of that from somebody that he
believes can get everything else from anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from distbelief.app.datasets.examples.stored import APART, DENSE, SPARSE, STATISTICS, WEIGHTS
from distbelief.app.datasets.reading.digests import digest_of
from distbelief.app.files.documents import parse_object

FORMAT = 1

META = "meta.json"

#: No other file is written because a manifest says so.
FILES = frozenset((*DENSE, *SPARSE, APART, STATISTICS, WEIGHTS, META))

#: Bytes of a manifest: one of a terabyte in pieces of 8 MiB has fewer.
LARGEST = 8 << 20

#: Bytes of a piece: each is in memory as a whole.
LARGEST_PIECE = 16 << 20

#: What a manifest's digest looks like.
DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of one file; all of them are the file."""

    file: str
    start: int
    size: int


@dataclass(frozen=True)
class Manifest:
    """``files`` are (name, bytes); ``digests`` those of the pieces, file by file in this order."""

    files: tuple[tuple[str, int], ...]
    piece_bytes: int
    digests: tuple[str, ...]

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Where each piece belongs."""
        return cut(self.files, self.piece_bytes)

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    @cached_property
    def text(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.text)

    @classmethod
    def read(cls, text: bytes) -> Manifest:
        """Read :attr:`text`; raises ValueError if it is none, or names files that are none."""
        if len(text) > LARGEST:
            raise ValueError(f"a manifest of {len(text):,} bytes")
        document = parse_object(text)
        if document.get("format") != FORMAT:
            raise ValueError(f"a manifest of format {document.get('format')}, here {FORMAT}")
        try:
            files = tuple((_file(name), _count(size)) for name, size in document["files"])
            digests = tuple(map(_digest, document["digests"]))
            found = cls(files, _count(document["piece_bytes"], least=1), digests)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a damaged manifest ({error})") from None
        pieces = sum(-(-size // found.piece_bytes) for _, size in files)
        if len(dict(files)) != len(files) or pieces != len(digests):
            raise ValueError("a manifest whose pieces are not its files")
        if found.piece_bytes > LARGEST_PIECE:
            raise ValueError(f"a manifest with pieces of {found.piece_bytes:,} bytes")
        return found


def cut(files: Sequence[tuple[str, int]], piece_bytes: int) -> tuple[Piece, ...]:
    """The pieces of some files: each has ``piece_bytes``, but for the last one of a file."""
    return tuple(
        Piece(name, start, min(piece_bytes, size - start))
        for name, size in files
        for start in range(0, size, piece_bytes)
    )


def _file(name: Any) -> str:
    if name not in FILES:
        raise ValueError(f"a manifest with a file {name!r}")
    return str(name)


def _count(number: Any, least: int = 0) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise ValueError(f"a manifest with the number {number!r}")
    return number


def _digest(text: Any) -> str:
    if not isinstance(text, str) or DIGEST.fullmatch(text) is None:
        raise ValueError("a manifest with something else than digests")
    return text
