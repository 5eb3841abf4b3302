"""The command that predicts with a saved model: it needs no server."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.cache.standard_input import kept
from distbelief.app.datasets.reading.access import is_url
from distbelief.app.datasets.reading.sparing import spare
from distbelief.app.errors import ConfigError, DataError
from distbelief.app.files.atomic import obstacle, replacing
from distbelief.app.models.files import SavedModel
from distbelief.app.models.model import Task
from distbelief.coordinator.commands.data import data_options
from distbelief.coordinator.commands.inference import (
    READING,
    model_option,
    open_model,
    source_option,
)
from distbelief.coordinator.commands.options import SectionedCommand, pairs
from distbelief.coordinator.commands.output import as_json, uploaded
from distbelief.coordinator.inference.predicting import Predictions, Predictor

#: What --proba says without a class: no class has this name.
ALL = ""

#: Before the names of what is predicted, where the data have columns of those names.
PREDICTED = "predicted_"

_SHOWN = 5  # rows without a prediction that are named


@click.command(
    cls=SectionedCommand,
    examples=(
        "predict --model model.safetensors --data new.npy",
        "predict --model model.safetensors --data new.csv --json",
        "predict --model model.safetensors --data new.csv --with id --proba",
    ),
    codes=READING,
)
@model_option
@source_option
@data_options
@click.option(
    "--with",
    "passed",
    multiple=True,
    metavar="COLUMN",
    help="Column of the data to put before its prediction, an id for instance.",
)
@click.option(
    "--proba",
    is_flag=False,
    flag_value=ALL,
    metavar="[CLASS]",
    help="Probabilities of all classes, or of the one that is named.",
)
@click.option(
    "--output", metavar="FILE", help="File to write, or its URL (extra remote). [default: print]"
)
@as_json
def predict(
    model_file: str,
    data: str,
    data_option: tuple[str, ...],
    passed: tuple[str, ...],
    proba: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Predict for new examples: a line each, as CSV.

    Columns: class, by the label that the training data had, and its probability; or value
    for a regression. The data may be anything that train takes; columns are taken by their
    names, and targets are not needed. With a column of the data that is called class, too, those
    of the prediction are predicted_class and so on. A row that cannot be used, where the option
    bad_lines=N tolerates it, has an empty prediction. With --json each line is an object with
    those names.
    """
    saved = open_model(model_file)
    columns = _columns(saved, passed, proba)
    if output is not None:
        spare(Path(output), (data, model_file))
    source = kept(data, default_cache_folder())
    predictor = Predictor(saved, source, pairs("data_options", data_option), passed)
    found = iter(predictor)
    first = next(found)  # what is wrong with the data shows before the file is touched
    write = _write_json if as_json else _write_csv
    with _open_output(output) as stream:
        write(stream, columns, _rows(itertools.chain([first], found), columns))
    if predictor.skipped:
        faults = [str(fault) for fault in predictor.skipped[:_SHOWN]]
        more = len(predictor.skipped) - len(faults)
        n = len(predictor.skipped)
        lines = [f"{n:,} row{' has' if n == 1 else 's have'} no prediction:", *faults]
        click.echo("\n  ".join([*lines, f"and {more:,} more"] if more else lines), err=True)


@dataclass(frozen=True)
class Columns:
    """The columns of the output, and how the last of them come of predictions.

    Attributes:
        passed: those that come along.
        found: those of the prediction; the first is its class, where it has one.
        has_class: whether that is so.
        digits: how numbers are written.
        numbers: gives the others for all rows, shape (n_rows, n_numbers).
    """

    passed: tuple[str, ...]
    found: tuple[str, ...]
    has_class: bool
    digits: str
    numbers: Callable[[Predictions], Any]

    @property
    def names(self) -> tuple[str, ...]:
        """All names; predictions are marked as such where the data have a column of that name."""
        mark = PREDICTED if {*self.passed} & {*self.found} else ""
        return (*self.passed, *(mark + name for name in self.found))


def _columns(saved: SavedModel, passed: tuple[str, ...], proba: str | None) -> Columns:
    for name in passed:
        if passed.count(name) > 1:
            raise ConfigError(f"--with {name} is there twice")
    if saved.build().task is Task.REGRESSION:
        if proba is not None:
            raise ConfigError("--proba: the model is a regression, it has no probabilities")
        digits = ".15g" if saved.schema.target_origin else ".9g"
        return Columns(passed, ("value",), False, digits, _values)
    if proba is None:
        return Columns(passed, ("class", "probability"), True, ".6g", _greatest(saved))
    names = [str(name) for name in saved.schema.names]
    if proba != ALL and proba not in names:
        raise ConfigError(f"--proba: there is no class {proba!r}, they are {', '.join(names)}")
    chosen = [i for i, name in enumerate(names) if proba in (ALL, name)]
    heads = (f"probability_{names[i]}" for i in chosen)
    return Columns(passed, ("class", *heads), True, ".6g", lambda each: each.chances[:, chosen])


def _values(predictions: Predictions) -> Any:
    answers = [math.nan if value is None else value for value in predictions.answers]
    return np.array(answers).reshape(-1, 1)


def _greatest(saved: SavedModel) -> Callable[[Predictions], Any]:
    """The probability of the class that is the answer."""
    numbers = {name: number for number, name in enumerate(saved.schema.names)}

    def of(predictions: Predictions) -> Any:
        chosen = [0 if each is None else numbers[each] for each in predictions.answers]
        return predictions.chances[np.arange(len(chosen)), chosen].reshape(-1, 1)

    return of


def _rows(predictions: Iterable[Predictions], columns: Columns) -> Iterator[tuple[Any, ...]]:
    """A row for each example, with its numbers written out; what is not there is None."""
    for each in predictions:
        numbers = columns.numbers(each).tolist()
        for row, (answer, values) in enumerate(zip(each.answers, numbers, strict=True)):
            written = [format(v, columns.digits) if math.isfinite(v) else None for v in values]
            passed = (texts[row] for texts in each.passed)
            yield (*passed, *((answer,) if columns.has_class else ()), *written)


def _write_csv(stream: TextIO, columns: Columns, rows: Iterator[tuple[Any, ...]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns.names)
    writer.writerows(rows)


def _write_json(stream: TextIO, columns: Columns, rows: Iterator[tuple[Any, ...]]) -> None:
    n_texts = len(columns.passed) + columns.has_class
    for row in rows:
        numbers = [None if text is None else float(text) for text in row[n_texts:]]
        document = dict(zip(columns.names, [*row[:n_texts], *numbers], strict=True))
        stream.write(json.dumps(document) + "\n")


@contextmanager
def _open_output(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    if is_url(output):
        with uploaded(output) as path, path.open("w", newline="", encoding="utf-8") as stream:
            yield stream
        return
    path = Path(output)
    try:
        # A device or a pipe takes what it is given; a file is there as a whole, or as before.
        place = nullcontext(path) if obstacle(path) else replacing(path)
        with place as target, target.open("w", newline="", encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error
