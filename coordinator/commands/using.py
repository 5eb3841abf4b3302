"""Commands that need no server: they look at data, and use saved models."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console

from app.errors import DataError
from app.models.files import load_model
from app.models.model import Task
from coordinator import inference
from coordinator.commands.conversion import conversion_shown
from coordinator.commands.options import SectionedCommand, pairs
from coordinator.views.description import describe
from coordinator.yardstick import Yardstick

_model = click.option("--model", "model_file", metavar="FILE", required=True, help="Saved model.")
_data = click.option("--data", metavar="SOURCE", required=True, help="As for train.")
_options = click.option(
    "--data-option", multiple=True, metavar="KEY=VALUE", help="Option of the data source."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command(
    "data",
    cls=SectionedCommand,
    epilog="""
Examples:
  python -m coordinator data digits
  python -m coordinator data clicks.csv --data-option target=clicked --data-option bad_lines=10
  python -m coordinator data train.libsvm.gz --json
""",
)
@click.argument("file")
@_options
@_as_json
def data_command(file: str, data_option: tuple[str, ...], as_json: bool) -> None:
    """Describe a data file: examples, features, classes, bad lines.

    The file is anything that train takes. It is converted as train would, so that a
    training on it begins at once.
    """
    options = pairs("data_options", data_option)
    with conversion_shown(Console(stderr=True)) as progress:
        found = describe(file, options, progress)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))


@click.command(
    epilog="Example: python -m coordinator evaluate --model model.safetensors --data digits"
)
@_model
@_data
@_options
@click.option(
    "--part",
    type=click.Choice(inference.PARTS),
    default="all",
    show_default=True,
    help="Which examples, by the split that the model was trained with.",
)
@_as_json
def evaluate(
    model_file: str, data: str, data_option: tuple[str, ...], part: str, as_json: bool
) -> None:
    """Score a saved model on labelled data.

    The data are read as those of the training were, unless an option says otherwise. The
    part heldout of a model that was trained with --holdout-data is that file.
    """
    saved = load_model(Path(model_file))
    with conversion_shown(Console(stderr=True)) as progress:
        score = inference.evaluate(saved, data, pairs("data_options", data_option), part, progress)
    yardstick = Yardstick.of(saved.build().task, saved.settings, saved.schema)
    if as_json:
        click.echo(json.dumps(yardstick.document(score), indent=2))
        return
    lines = [f"examples {score.n_examples}", *yardstick.lines(score), *yardstick.confusion(score)]
    click.echo("\n".join(lines))


@click.command(
    epilog="Example: python -m coordinator predict --model model.safetensors --data new.npy"
)
@_model
@_data
@_options
@click.option("--output", metavar="FILE", help="CSV file to write.  [default: print]")
def predict(model_file: str, data: str, data_option: tuple[str, ...], output: str | None) -> None:
    """Predict for new examples: a line each, as CSV.

    Columns: class, by the label that the training data had, and its probability; or value
    for a regression. The data may be anything that train takes; targets are not needed,
    and left out if they are there.
    """
    saved = load_model(Path(model_file))
    regression = saved.build().task is Task.REGRESSION
    predictions = inference.predict(saved, data, pairs("data_options", data_option))
    first = next(predictions)  # what is wrong with the data shows before the file is touched
    with _opened(output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["value"] if regression else ["class", "probability"])
        for answers, chances in itertools.chain([first], predictions):
            if regression:
                writer.writerows([f"{value:.9g}"] for value in answers)
            else:
                rows = zip(answers, chances, strict=True)
                writer.writerows([label, f"{chance:.6g}"] for label, chance in rows)


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        with Path(output).open("w", newline="") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error
