r"""Text that leaves for a terminal, or for a log that is read on one.

Labels, columns, names of files, records and messages come from others. Characters that move the
cursor, change colours or titles, or turn the direction of writing are written as ``\x1b``.
"""

from __future__ import annotations

import logging
import re

#: C0 without tab and line feed, DEL and C1; marks, embeddings and isolates that turn the direction;
#: separators of lines; halves of characters, which stand for bytes in names of files.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """``text`` with escapes, as Python writes them, for what a terminal would obey."""
    return _COMMANDS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class VisibleRecords(logging.Filter):
    """Makes what is written to a log pass :func:`visible`, before it gets colours."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = visible(record.getMessage())
        record.args = ()
        if record.exc_info and isinstance(record.exc_info, tuple):
            record.exc_text = visible(logging.Formatter().formatException(record.exc_info))
        return True
