"""Text in any encoding as UTF-8, and lines that are passed over.

What is no text in the encoding becomes a byte that UTF-8 does not have, so that whoever reads
the lines finds it, and names the line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from distbelief.app.settings.sections import Scalar

#: The marks with which programs begin a file to say its encoding; they go before any option.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_WRONG = "\udcff"  # which surrogateescape writes as the byte FF


@dataclass(frozen=True)
class Text:
    """How text is written.

    Attributes:
        encoding: Python's name for it.
        comment: what begins a line that holds no data; None if nothing does.
        skip: lines at the beginning of each file that hold none.
    """

    encoding: str = "utf-8"
    comment: str | None = None
    skip: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Text:
        """By the options of a format, all of them, checked."""
        return cls(settings["encoding"], settings.get("comment"), settings["skip"])

    def reading_options(self) -> dict[str, Scalar]:
        """The options that are not the defaults."""
        plain = Text()
        return {name: value for name, value in vars(self).items() if value != getattr(plain, name)}

    def without_comments(self, content: bytes, first: int) -> bytes:
        """Whole lines, the first of which has this number; those without data are blank."""
        if first <= self.skip:
            lines = content.split(b"\n", self.skip - first + 1)
            content = b"\n" * (len(lines) - 1) + lines[-1]
            if len(lines) <= self.skip - first + 1:  # all of them
                return b"\n" * (len(lines) - 1)
        if self.comment and (start := self.comment.encode()) in content:
            content = re.sub(rb"(?m)^[ \t]*" + re.escape(start) + rb"[^\n]*", b"", content)
        return content


class Utf8:
    """The bytes of a stream, read in full blocks, as UTF-8 in which a line ends with LF.

    CR and LF together stay; CR alone is a line end where the beginning has no other.
    """

    def __init__(self, stream: BinaryIO, encoding: str, block_bytes: int) -> None:
        self._stream = stream
        self._block_bytes = block_bytes
        head = self._raw()
        for mark, name in _MARKS:
            if head.startswith(mark):
                head, encoding = head.removeprefix(mark), name
        self._decoder = None
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)(_HANDLER)
        self._begun, self._ended = False, False
        self._returns_alone = False
        self._head = self._decoded(head)
        self._returns_alone = b"\r" in self._head[:-1] and b"\n" not in self._head

    def read(self) -> bytes:
        """The next block; empty at the end."""
        if not self._begun:
            self._begun = True
            return self._with_line_ends(self._head)
        while not self._ended:
            raw = self._raw()
            self._ended = not raw
            if content := self._decoded(raw):
                return self._with_line_ends(content)
        return b""

    def _decoded(self, raw: bytes) -> bytes:
        if self._decoder is None:
            return raw
        text = self._decoder.decode(raw, final=not raw)
        return text.encode("utf-8", "surrogateescape")

    def _with_line_ends(self, content: bytes) -> bytes:
        return content.replace(b"\r", b"\n") if self._returns_alone else content

    def _raw(self) -> bytes:
        """A full block wherever there is one: remote files may give less at a time."""
        pieces, missing = [], self._block_bytes
        while missing and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def fault_of_bytes(line: bytes, encoding: str) -> str:
    """Why a line, as :class:`Utf8` gives it, is no text; empty if it is."""
    if b"\0" in line:
        return "there is a NUL byte, this is not text"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return (
                f"this is not UTF-8 text: {error.reason} after {error.start} bytes; is it in "
                "another encoding, as the option encoding=cp1252 (or latin-1, cp949) says?"
            )
        before = len(line[: error.start].decode())
        return f"this is not {encoding} text: wrong bytes after {before} characters"
    return ""


def _mark_wrong(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _WRONG, error.end


_HANDLER = "distbelief.wrong"
codecs.register_error(_HANDLER, _mark_wrong)
