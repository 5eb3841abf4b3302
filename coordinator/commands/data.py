"""The command that looks at data."""

from __future__ import annotations

import json

import click

from distbelief.app.errors import ExitCode
from distbelief.coordinator.commands.conversion import show_conversion
from distbelief.coordinator.commands.options import SectionedCommand, pairs
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.views.description import describe
from distbelief.coordinator.views.terminal import safe_console

data_options = click.option(
    "--data-option", multiple=True, metavar="KEY=VALUE", help="Option of the data source."
)


@click.command(
    "data",
    cls=SectionedCommand,
    examples=(
        "data digits",
        "data clicks.csv --data-option target=clicked --data-option bad_lines=10",
        "data train.libsvm.gz --json",
    ),
    codes=(ExitCode.DATA,),
)
@click.argument("file")
@data_options
@as_json
def data_command(file: str, data_option: tuple[str, ...], as_json: bool) -> None:
    """Describe a data file: examples, features, classes, bad lines.

    The file is anything that train takes. It is converted as train would, so that a
    training on it begins at once.
    """
    options = pairs("data_options", data_option)
    with show_conversion(safe_console(stderr=True)) as progress:
        found = describe(file, options, progress)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))
