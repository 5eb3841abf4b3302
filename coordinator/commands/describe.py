"""The command that says what is in a model file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from distbelief.app.errors import ExitCode
from distbelief.coordinator.commands.options import SectionedCommand
from distbelief.coordinator.commands.output import as_json


@click.command(
    cls=SectionedCommand,
    examples=("describe model.safetensors", "describe model.safetensors --json"),
    codes=(ExitCode.MODEL,),
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@as_json
def describe(model: Path, as_json: bool) -> None:
    """Say what a saved model is for, what it was trained on, and how good it was.

    Its file says so: no data are read and no server is asked.
    """
    from distbelief.app.models.files import read_model
    from distbelief.coordinator.inference.description import ModelDescription

    found = ModelDescription(read_model(model))
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))
