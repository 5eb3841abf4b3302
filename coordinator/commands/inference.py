"""The commands that use a saved model: they need no server."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.cache.standard_input import kept
from distbelief.app.errors import DataError, ExitCode
from distbelief.app.models.files import read_model
from distbelief.app.models.model import Task
from distbelief.coordinator.commands.conversion import show_conversion
from distbelief.coordinator.commands.data import data_options
from distbelief.coordinator.commands.options import SectionedCommand, pairs
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.inference import scoring
from distbelief.coordinator.progress.scores import ScoreFormatter

_model = click.option("--model", "model_file", metavar="FILE", required=True, help="Saved model.")
_data = click.option("--data", metavar="SOURCE", required=True, help="As for train.")
#: Exit codes of whoever reads a model and data.
READING = (ExitCode.DATA, ExitCode.MODEL)

#: The columns of predictions.
Columns = tuple[str, ...]
VALUE: Columns = ("value",)
CLASS: Columns = ("class", "probability")


@click.command(
    cls=SectionedCommand,
    examples=("evaluate --model model.safetensors --data digits",),
    codes=READING,
)
@_model
@_data
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

    The data are read as those of the training were, unless an option says otherwise. The
    part heldout of a model that was trained with --holdout-data is that file, and so is the
    part test with --test-data.
    """
    saved = read_model(Path(model_file))
    with show_conversion(Console(stderr=True)) as progress:
        source = kept(data, default_cache_folder())
        score = scoring.evaluate(saved, source, pairs("data_options", data_option), part, progress)
    score_formatter = ScoreFormatter.of(saved.build().task, saved.settings, saved.schema)
    if as_json:
        click.echo(json.dumps(score_formatter.document(score), indent=2))
        return
    lines = [
        f"examples {score.n_examples}",
        *score_formatter.lines(score),
        *score_formatter.confusion(score),
    ]
    click.echo("\n".join(lines))


@click.command(
    cls=SectionedCommand,
    examples=(
        "predict --model model.safetensors --data new.npy",
        "predict --model model.safetensors --data new.csv --json",
    ),
    codes=READING,
)
@_model
@_data
@data_options
@click.option("--output", metavar="FILE", help="File to write. [default: print]")
@as_json
def predict(
    model_file: str, data: str, data_option: tuple[str, ...], output: str | None, as_json: bool
) -> None:
    """Predict for new examples: a line each, as CSV.

    Columns: class, by the label that the training data had, and its probability; or value
    for a regression. The data may be anything that train takes; targets are not needed,
    and left out if they are there. With --json each line is an object with those names.
    """
    saved = read_model(Path(model_file))
    regression = saved.build().task is Task.REGRESSION
    source = kept(data, default_cache_folder())
    predictions = scoring.predict(saved, source, pairs("data_options", data_option))
    first = next(predictions)  # what is wrong with the data shows before the file is touched
    write = _write_json if as_json else _write_csv
    with _open_output(output) as stream:
        columns = VALUE if regression else CLASS
        write(stream, columns, _rows(itertools.chain([first], predictions), columns))


def _rows(predictions: Iterable[tuple[Any, Any]], columns: Columns) -> Iterator[tuple[Any, ...]]:
    """A row for each example; the last column is a number, written out."""
    for answers, chances in predictions:
        if columns is VALUE:
            yield from ((f"{value:.9g}",) for value in answers)
        else:
            rows = zip(answers, chances, strict=True)
            yield from ((label, f"{chance:.6g}") for label, chance in rows)


def _write_csv(stream: TextIO, columns: Columns, rows: Iterator[tuple[Any, ...]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _write_json(stream: TextIO, columns: Columns, rows: Iterator[tuple[Any, ...]]) -> None:
    for *label, text in rows:
        number = float(text)
        row = [*label, number if math.isfinite(number) else None]
        stream.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")


@contextmanager
def _open_output(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        with Path(output).open("w", newline="") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error
