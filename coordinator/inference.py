"""Using a saved model: scores and predictions in this process, without any server."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from app.config import RunConfig
from app.datasets.cache import default_cache_folder, open_cached
from app.datasets.dataset import Dataset, Features
from app.datasets.sources import features_only, is_file
from app.datasets.split import split
from app.errors import DataError, ModelError
from app.models.files import SavedModel
from app.models.metrics import Score, score
from app.models.model import Task
from app.settings import Scalar

PARTS = ("all", "train", "heldout")


def evaluate(
    saved: SavedModel, source: str, options: Mapping[str, Scalar], part: str = "all"
) -> Score:
    """Score a saved model on labelled data; ``part`` is by the split of its training.

    Raises:
        DataError: unreadable data, or data that do not fit the model.
    """
    options = dict(options)
    if saved.schema.n_classes and is_file(source):
        options.setdefault("classes", saved.schema.n_classes)
    dataset = open_cached(source, options, default_cache_folder())
    _check_features(saved, dataset.n_features, source)
    known = saved.schema.n_classes
    if dataset.n_classes > known or (dataset.n_classes == 0) != (known == 0):
        raise DataError(
            f"{source} has {dataset.n_classes or 'no'} classes, the model knows {known or 'none'}"
        )
    rows = _rows(saved, dataset, part)
    return score(saved.source(), dataset.features[rows], dataset.targets[rows])


def predict(
    saved: SavedModel, source: str, options: Mapping[str, Scalar]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.floating]]:
    """Predictions for unlabelled data: (class or value, probability or NaN) of each example.

    Raises:
        DataError: unreadable data, or data that do not fit the model.
    """
    features = _features(source, options)
    _check_features(saved, features.shape[1], source)
    model, parameters, features = saved.source()(features)
    answers = np.asarray(model.predict(parameters, features))
    if model.task is Task.REGRESSION:
        return answers, np.full(len(answers), np.nan)
    if model.task is Task.BINARY:
        answers = np.column_stack([1 - answers, answers])
    return answers.argmax(axis=1), answers.max(axis=1)


def _features(source: str, options: Mapping[str, Scalar]) -> Features:
    if is_file(source) or source.endswith(".npy"):
        return features_only(source)
    features: Features = open_cached(source, options, default_cache_folder()).features
    return features


def _check_features(saved: SavedModel, n_features: int, source: str) -> None:
    known = saved.schema.n_features
    if n_features != known:
        raise DataError(f"{source} has {n_features} features, the model was trained on {known}")


def _rows(saved: SavedModel, dataset: Dataset, part: str) -> npt.NDArray[np.int64] | slice:
    if part == "all":
        return slice(None)
    try:
        config = RunConfig(**saved.facts["config"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelError(f"the model file does not say how its data were split: {error}") from error
    train, heldout = split(dataset.n_examples, config.holdout, config.seed)
    rows = train if part == "train" else heldout
    if not len(rows):
        raise DataError(f"the model was trained with holdout 0: there is no part {part}")
    return rows
