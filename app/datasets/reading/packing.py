"""Packed files, unpacked as they are read: gzip, bzip2, xz and Zstandard.

The ending of the name says how a file is packed; where it says nothing, its first bytes do.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, cast

from distbelief.app.errors import DataError
from distbelief.app.settings.extras import needed

#: What a piece of packed bytes grows to is in memory at once: this bounds it to some 40 MB.
_PIECE_BYTES = 1024


class Begun:
    """A stream of which the beginning was read already, and is given once more."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._stream.read(size)
        size = len(self._head) if size < 0 else size
        piece, self._head = self._head[:size], self._head[size:]
        return piece


class _Zstandard:
    """Unpacks Zstandard, frame after frame; the package's own reader passes over a cut end."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        words = f"{name}: files in Zstandard (.zst) need zstandard"
        self._module = needed("zstandard", words, "zstd", DataError)
        self._stream = stream
        self._frame: Any = None
        self._ready = b""

    def read(self, size: int) -> bytes:
        while len(self._ready) < size:
            piece = self._stream.read(_PIECE_BYTES)
            if not piece:
                if self._frame is not None:
                    raise EOFError
                break
            self._unpack(piece)
        result, self._ready = self._ready[:size], self._ready[size:]
        return result

    def _unpack(self, piece: bytes) -> None:
        try:
            while piece:
                if self._frame is None:
                    self._frame = self._module.ZstdDecompressor().decompressobj()
                self._ready += self._frame.decompress(piece)
                piece = self._frame.unused_data
                if self._frame.eof:
                    self._frame = None
        except self._module.ZstdError as error:
            raise OSError(f"this is no Zstandard file, or it is damaged ({error})") from error


#: What unpacks a stream, by the ending, and the bytes with which such files begin.
PACKINGS: Mapping[str, tuple[bytes, Callable[[Any, str], Any]]] = {
    ".gz": (b"\x1f\x8b", lambda stream, _: gzip.GzipFile(fileobj=stream)),
    ".bz2": (b"BZh", lambda stream, _: bz2.BZ2File(stream)),
    ".xz": (b"\xfd7zXZ\0", lambda stream, _: lzma.LZMAFile(stream)),  # noqa: SIM115
    ".zst": (b"\x28\xb5\x2f\xfd", _Zstandard),
}


def unpacked_name(name: str) -> str:
    """The name without the ending that says how the file is packed."""
    ending = _ending(name)
    return name[: -len(ending)] if ending else name


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """The content of a stream at its beginning, unpacked if it is packed.

    Raises:
        DataError: it is packed with Zstandard, and the package for it is not installed.
        OSError, EOFError, zlib.error, lzma.LZMAError: while it is read, if it is damaged.
    """
    head = stream.read(6)
    begun, ending = Begun(head, stream), _ending(name)
    for known, (magic, unpack) in PACKINGS.items():
        if known == ending or (not ending and head.startswith(magic)):
            return cast("BinaryIO", unpack(begun, name))
    return cast("BinaryIO", begun)


def _ending(name: str) -> str:
    lower = name.lower()
    return next((ending for ending in PACKINGS if lower.endswith(ending)), "")
