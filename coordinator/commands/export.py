"""The command that brings parameters out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from distbelief.app.errors import ConfigError, ExitCode
from distbelief.app.files.atomic import obstacle
from distbelief.coordinator.commands.options import SectionedCommand
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.commands.run_flags import cluster_settings, run_flags, run_names


@click.command(
    cls=SectionedCommand,
    examples=(
        "export 20261122-180858-050a --output now.safetensors",
        "export model.safetensors --output model.npz",
    ),
    codes=(
        ExitCode.MODEL,
        ExitCode.DATA,
        ExitCode.UNREACHABLE,
        ExitCode.AUTHENTICATION,
        ExitCode.SERVER,
        ExitCode.CHECKPOINT,
    ),
)
@click.argument("source", shell_complete=run_names)
@click.option(
    "--output",
    metavar="FILE",
    required=True,
    help="File to write; its ending says how: .safetensors, .npz, .npy or .csv.",
)
@run_flags
@click.option(
    "--parameter-servers", metavar="LIST", default=None, help="Where a run's parameters are."
)
@as_json
def export(source: str, output: str, as_json: bool, **flags: Any) -> None:
    """Write the parameters of a saved model, or of a run.

    The source is a model file or the name of a run. Of a finished run it is the model that
    was saved; of a running one what the servers hold now; else the last checkpoint.

    A .safetensors file is a model that evaluate and predict take; .npz has an array for each
    tensor and the labels of the classes, .npy one vector of all tensors, .csv a line for each
    number. Of tables there are the rows that training touched (.npy: all rows).
    """
    from distbelief.coordinator.inference import export as exporting
    from distbelief.coordinator.inference import run_parameters
    from distbelief.coordinator.runs import resumption

    path = Path(output)
    exporting.format_of(path)  # before anything is read
    if other := obstacle(path):
        raise ConfigError(f"--output {output} is {other}: name a file")
    if Path(source).is_file() or "/" in source or Path(source).suffix:
        from distbelief.app.models.files import read_model

        found = run_parameters.Parameters(read_model(Path(source)), source)
    else:
        servers = flags.pop("parameter_servers")
        settings = cluster_settings(flags)
        if servers is not None:
            from distbelief.app.settings.environment import split_urls

            settings["parameter_servers"] = tuple(split_urls(servers))
        found = run_parameters.find(
            resumption.find(source, settings), lambda text: click.echo(f"note: {text}", err=True)
        )
    exporting.export(found.saved, path)
    _report(found.origin, found.saved.arrays(), output, as_json=as_json)


def _report(origin: str, arrays: Any, output: str, *, as_json: bool) -> None:
    if as_json:
        tensors = {name: list(array.shape) for name, array in arrays.items()}
        click.echo(json.dumps({"output": output, "from": origin, "tensors": tensors}, indent=2))
        return
    numbers = sum(array.size for array in arrays.values())
    click.echo(f"{output}: {numbers:,} numbers in {len(arrays)} tensors, from {origin}")
