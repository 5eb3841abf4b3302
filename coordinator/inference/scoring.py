"""Scores and predictions of a saved model, in this process and without any server.

Data are read as those of the training were, and labels are those of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import matrix
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.run_data import Selection, divide, training_options
from distbelief.app.datasets.sources.source import File, Stream, parse
from distbelief.app.errors import DataError, ModelError
from distbelief.app.models.auc import AucBy, Ranks
from distbelief.app.models.files import SavedModel
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.model import Features, Task
from distbelief.app.models.predictions import likeliest, probability_of
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import Scalar

PARTS = ("all", "train", "heldout", "test")

#: Examples that are in memory at a time.
CHUNK_EXAMPLES = 4096


def evaluate(
    saved: SavedModel,
    source: str,
    options: Mapping[str, Scalar],
    part: str = "all",
    progress: Progress | None = None,
) -> Score:
    """Score a saved model on labelled data; ``part`` is by the split of its training.

    If the training had files of their own for the parts ``heldout`` or ``test``, those are the
    parts, whatever ``source`` is.

    Raises:
        DataError: unreadable data, or data that do not fit the model.
    """
    config = None if part == "all" else _config(saved)
    own = {} if config is None else {"heldout": config.holdout_data, "test": config.test_data}
    beside = own.get(part)
    if config is not None and beside is None:
        options = {**training_options(config), **options}
    dataset = open_cached(
        beside or source,
        options,
        default_cache_folder(),
        compatibility=_compatibility(saved),
        progress=progress,
    )
    examples = Selection(dataset)
    if config is not None and beside is None:
        parts = divide(dataset, config)
        examples = Selection(dataset, getattr(parts, part))
        if not len(examples):
            setting = "test" if part == "test" else "holdout"
            raise DataError(f"the model was trained with {setting} 0: there is no part {part}")
    return score_examples(saved, examples)


def predict(
    saved: SavedModel, source: str, options: Mapping[str, Scalar]
) -> Iterator[tuple[list[Any], npt.NDArray[np.floating]]]:
    """Predictions for data that need no targets, some examples at a time.

    Yields:
        (label or value, probability or NaN) of each example.

    Raises:
        DataError: unreadable data, or data that do not fit the model.
    """
    source_of, names = saved.source(), saved.schema.names
    for chunk in _features(saved, source, options):
        model, parameters, features = source_of(chunk)
        answers = np.asarray(model.predict(parameters, features))
        if model.task is Task.REGRESSION:
            yield answers.tolist(), np.full(len(answers), np.nan)
            continue
        classes = likeliest(answers, saved.settings.threshold)
        yield [names[number] for number in classes], probability_of(classes, answers)


def score_examples(saved: SavedModel, examples: Selection) -> Score:
    """Score a saved model on some examples, a chunk at a time."""
    by, ranks = AucBy.of(saved.build().task, len(examples)), Ranks()
    source, total = saved.source(), Score()
    for start in range(0, len(examples), CHUNK_EXAMPLES):
        total += score(
            source,
            *examples.between(start, start + CHUNK_EXAMPLES),
            threshold=saved.settings.threshold,
            histogram=by is AucBy.HISTOGRAM,
            seen=ranks.add if by is AucBy.RANKS else None,
        )
    return replace(total, auc=ranks.auc()) if by is AucBy.RANKS else total.with_histogram_auc()


def _features(saved: SavedModel, source: str, options: Mapping[str, Scalar]) -> Iterator[Features]:
    """The features of ``source``, so many at a time as memory holds."""
    compatibility = _compatibility(saved)
    found = parse(source)
    if isinstance(found, Stream):
        reading = found.completed(options, compatibility.reading)
        reader = found.open_reader(reading, labelled=False)
        for chunk in reader:
            features = matrix(chunk, reader.columns.n_features)
            compatibility.check(Schema(features.shape[1], sparse=reader.sparse), source)
            yield features
        return
    if isinstance(found, File):
        features = found.features()
    else:
        features = open_cached(source, options, default_cache_folder()).features
    compatibility.check(Schema(features.shape[1]), source)
    for start in range(0, len(features), CHUNK_EXAMPLES):
        yield features[start : start + CHUNK_EXAMPLES]


def _compatibility(saved: SavedModel) -> Compatibility:
    """Compatibility with what the model was trained on."""
    reading = saved.facts.get("reading", {})
    if not isinstance(reading, dict):
        raise ModelError("the model file does not say how its data were read")
    return Compatibility(saved.schema, "the model", reading)


def _config(saved: SavedModel) -> RunConfig:
    try:
        return RunConfig(**saved.facts["config"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelError(f"the model file does not say how its data were split: {error}") from error
