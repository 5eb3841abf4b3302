"""Digests of files' content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BufferedReader


def digest(*streams: BufferedReader) -> str:
    """BLAKE2b of the bytes from here to the end, in hexadecimal; of several: of their digests."""
    return joined([hashlib.file_digest(stream, _blake2b).hexdigest() for stream in streams])


def digest_of(content: bytes) -> str:
    """BLAKE2b of some bytes, in hexadecimal."""
    return _blake2b(content).hexdigest()


def joined(digests: Sequence[str]) -> str:
    """One digest of several; of one alone, itself."""
    return digests[0] if len(digests) == 1 else digest_of(" ".join(digests).encode())


def _blake2b(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=16)
