"""The edge where text leaves for a terminal: what would command it is shown instead.

Labels, columns, names of files, records and events come from others; see
:mod:`distbelief.app.files.visible`. For commands this happens here alone: to all that is printed,
by a stream that stands in for the standard ones, and to what rich draws, whose own commands pass.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distbelief.app.files.visible import visible

if TYPE_CHECKING:  # only who draws waits for it
    from rich.console import Console


class VisibleStream:
    """A text stream for people: what is written to it passes :func:`visible`.

    The attribute ``rich_proxied_file``, as rich calls it, is the stream itself.
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

    file = _itself(sys.stderr if stderr else sys.stdout)
    return SafeConsole(file=file, stderr=stderr, soft_wrap=soft_wrap, highlight=False)


def _itself(stream: Any) -> Any:
    """The stream below all that stand in for it.

    Rich looks below one; a live display of its own stands in for ours, and its commands would be
    shown instead of obeyed.
    """
    while (below := getattr(stream, "rich_proxied_file", None)) is not None:
        stream = below
    return stream
