r"""The edge where text leaves for a terminal: what would command it is shown instead.

Labels, columns, names of files, records and events come from others. Characters that move the
cursor, change colours or titles, or turn the direction of writing are written as ``\x1b``. This
happens here alone: to all that is printed, by a stream that stands in for the standard ones, and
to what rich draws, whose own commands pass.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # only who draws waits for it
    from rich.console import Console

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


class VisibleStream:
    """A text stream for people: what is written to it passes :func:`visible`.

    The attribute ``rich_proxied_file`` is where rich looks for the stream itself.
    """

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def protect_terminal() -> None:
    """Stand in for the standard streams: for errors always, for output if it is a terminal.

    What goes to a file or to another program stays as it is.
    """
    sys.stderr = VisibleStream(sys.stderr)
    if sys.stdout.isatty():
        sys.stdout = VisibleStream(sys.stdout)


def safe_console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console of rich on a standard stream, on which nobody else's text commands anything.

    A reader that goes away is told as it is everywhere else.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else visible(text), style, control)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return SafeConsole(stderr=stderr, soft_wrap=soft_wrap, highlight=False)
