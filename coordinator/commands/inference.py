"""The command that scores a saved model: it needs no server."""

from __future__ import annotations

import json
from pathlib import Path

import click

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.cache.standard_input import kept
from distbelief.app.errors import ExitCode
from distbelief.app.models.files import SavedModel, read_model
from distbelief.coordinator.commands.conversion import show_conversion
from distbelief.coordinator.commands.data import data_options
from distbelief.coordinator.commands.options import SectionedCommand, pairs
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.inference import scoring
from distbelief.coordinator.inference.trained_model import changed_text
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.views.terminal import safe_console

model_option = click.option(
    "--model", "model_file", metavar="FILE", required=True, help="Saved model."
)
source_option = click.option("--data", metavar="SOURCE", required=True, help="As for train.")
#: Exit codes of whoever reads a model and data.
READING = (ExitCode.DATA, ExitCode.MODEL)


@click.command(
    cls=SectionedCommand,
    examples=("evaluate --model model.safetensors --data digits",),
    codes=READING,
)
@model_option
@source_option
@data_options
@click.option(
    "--part",
    type=click.Choice(scoring.PARTS),
    default="all",
    show_default=True,
    help="Which examples, by the split that the model was trained with.",
)
@as_json
def evaluate(
    model_file: str, data: str, data_option: tuple[str, ...], part: str, as_json: bool
) -> None:
    """Score a saved model on labelled data.

    The data are read as those of the training were, unless an option says otherwise; columns are
    taken by their names. The part heldout of a model that was trained with --holdout-data is that
    file, and so is the part test with --test-data: name it. Other files than those of the training
    have no such parts. If the training had a column of weights, that of the data counts here, too,
    where it is there.
    """
    saved = open_model(model_file)
    with show_conversion(safe_console(stderr=True)) as progress:
        source = kept(data, default_cache_folder())
        score = scoring.evaluate(saved, source, pairs("data_options", data_option), part, progress)
    if (weight := saved.compatibility().weight) is not None and not score.weight:
        click.echo(
            f"the model was trained with weights ({weight}), {data} has none: all examples count "
            "the same",
            err=True,
        )
    score_formatter = ScoreFormatter.of(saved.build().task, saved.settings, saved.schema)
    of_weight = {"weight": score.weight} if score.weight else {}
    if as_json:
        click.echo(json.dumps(score_formatter.document(score) | of_weight, indent=2))
        return
    lines = [
        f"examples {score.n_examples}",
        *(f"{name} {value:.6g}" for name, value in of_weight.items()),
        *score_formatter.lines(score),
        *score_formatter.confusion(score),
    ]
    click.echo("\n".join(lines))


def open_model(path: str) -> SavedModel:
    """Read a model file, and say if a module of the user's is another one; raises ModelError."""
    saved = read_model(Path(path))
    if changed := saved.changed_modules():
        click.echo(f"warning: {changed_text(changed)}", err=True)
    return saved
