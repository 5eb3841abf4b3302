"""The output of commands: for people on a console, for machines as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def open_console(*, soft_wrap: bool = True) -> Console:
    """Open standard output: a reader that goes away is told as it is everywhere else."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Output(soft_wrap=soft_wrap, highlight=False)
