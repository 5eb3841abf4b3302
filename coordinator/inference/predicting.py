"""Predictions of a saved model for files, in this process and without any server.

A row of the input is a row of the output: one that cannot be read, where such are tolerated, has
no prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.faults import Fault
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import matrix
from distbelief.app.datasets.reading.reader import Reader
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.sources.source import File, Stream, parse
from distbelief.app.errors import DataError
from distbelief.app.models.files import SavedModel
from distbelief.app.models.model import Features, Task
from distbelief.app.models.predictions import CHUNK_EXAMPLES, likeliest
from distbelief.app.settings.sections import Scalar

Numbers = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for some consecutive rows.

    Attributes:
        answers: the value, or the name of the class, of each row; None without a prediction.
        chances: the probability of each class, shape (n_rows, n_classes), NaN likewise; a
            regression has no columns there.
        passed: for each column that comes along, its text in each row.
    """

    answers: Sequence[Any]
    chances: Numbers
    passed: tuple[Sequence[str], ...] = ()


class Predictor:
    """Predicts for the rows of a source, which needs no targets, some at a time.

    Args:
        saved: the model.
        source: as for a training.
        options: of the source; where they are silent it is read as the training data were.
        passed: columns that come along.

    Raises:
        DataError: unreadable data, or data that do not fit the model.
    """

    def __init__(
        self,
        saved: SavedModel,
        source: str,
        options: Mapping[str, Scalar],
        passed: Sequence[str] = (),
    ) -> None:
        self._saved = saved
        self._source = source
        self._options = options
        self._known = saved.compatibility()
        self._reader: Reader | None = None
        found = parse(source)
        if isinstance(found, Stream):
            use = Use(labelled=False, known=self._known, passed=tuple(passed))
            reading = found.completed(options, self._known)
            self._reader = found.open_reader(reading, use=use)
        elif passed:
            raise DataError(f"{source} has no columns that could come along")

    @property
    def skipped(self) -> Sequence[Fault]:
        """The rows so far that have no prediction."""
        return self._reader.skipped if self._reader is not None else ()

    def __iter__(self) -> Iterator[Predictions]:
        if self._reader is None:
            features, schema = self._whole()
            self._known.check(schema, self._source)
            for start in range(0, features.shape[0], CHUNK_EXAMPLES):
                yield self._predicted(features[start : start + CHUNK_EXAMPLES])
            return
        for chunk in self._reader:
            features = matrix(chunk, self._reader.columns.n_features)
            schema = Schema(features.shape[1], sparse=self._reader.sparse)
            self._known.check(schema, self._source)
            yield _with_gaps(self._predicted(features), chunk.dropped, chunk.passed)

    def _whole(self) -> tuple[Any, Schema]:
        """The features of a source that is in memory as a whole."""
        found = parse(self._source)
        if isinstance(found, File):
            features = found.features(self._options, self._known)
            return features, Schema(features.shape[1])
        dataset = open_cached(self._source, self._options, default_cache_folder())
        return dataset.features, dataset.schema

    def _predicted(self, features: Features) -> Predictions:
        names = self._saved.schema.names
        if not features.shape[0]:
            return Predictions([], np.empty((0, len(names))))
        model, parameters, features = self._saved.source()(features)
        found = np.asarray(model.predict(parameters, features))
        if model.task is Task.REGRESSION:
            values = self._saved.schema.values(found)
            return Predictions(values.tolist(), np.empty((len(found), 0)))
        classes = likeliest(found, self._saved.settings.threshold)
        chances = np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
        return Predictions([names[number] for number in classes], chances)


def _with_gaps(found: Predictions, dropped: Sequence[int], passed: Any) -> Predictions:
    """The predictions of all rows, of which those ``dropped`` have none."""
    if not dropped:
        return Predictions(found.answers, found.chances, passed)
    n_rows = len(found.answers) + len(dropped)
    there = np.ones(n_rows, np.bool_)
    there[list(dropped)] = False
    chances = np.full((n_rows, found.chances.shape[1]), np.nan)
    chances[there] = found.chances
    answers = iter(found.answers)
    return Predictions([next(answers) if each else None for each in there], chances, passed)
