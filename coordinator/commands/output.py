"""The output of commands: for people on a console, for machines as JSON."""

from __future__ import annotations

import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distbelief.app.datasets.reading.access import check_access
from distbelief.app.errors import DataError
from distbelief.app.settings.extras import needed
from distbelief.coordinator.progress.program import program
from distbelief.coordinator.views.terminal import safe_console

if TYPE_CHECKING:
    from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines; on a terminal long ones break between words, those with a command nowhere."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in lines:
        click.echo(line if program() in line else folded(line, width))


def folded(line: str, width: int) -> str:
    """A line in lines of that width, broken between words."""
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def print_table(lines: Callable[[int | None], Iterable[Text]]) -> None:
    """Print a table: ``lines`` makes it for the width of a terminal, whole without one."""
    console = safe_console(soft_wrap=True)
    console.print(*lines(console.width if console.is_terminal else None), sep="\n")


@contextmanager
def uploaded(url: str) -> Iterator[Path]:
    """A file to be written, which is at ``url`` once it is whole.

    Raises:
        DataError: the protocol is not allowed, its driver is missing, or the storage refuses.
    """
    check_access(url)
    core = needed("fsspec.core", f"{url}: addresses need fsspec", "remote", DataError)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output"
        yield path
        try:
            files, there = core.url_to_fs(url)
            files.put_file(str(path), there)
        except (ImportError, ValueError, OSError) as error:
            raise DataError(f"cannot write {url}: {error}") from error
