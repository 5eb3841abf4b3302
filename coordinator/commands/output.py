"""The output of commands: for people on a console, for machines as JSON."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable

import click

from distbelief.coordinator.progress.program import program

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
