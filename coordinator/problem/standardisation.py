"""Whether a run trains on standardised columns and targets, and on which scaling."""

from __future__ import annotations

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.moments import column_moments, target_moments
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError
from distbelief.app.models.files import SavedModel
from distbelief.app.models.model import Model, Task
from distbelief.app.models.scaling import Foldable, Scaling
from distbelief.app.settings.config import RunConfig


def scaling_of(
    config: RunConfig, model: Model, dataset: Dataset, saved: SavedModel | None
) -> Scaling | None:
    """The scaling that the run's ``model`` is trained under; None if it is trained on raw columns.

    A training that goes on from a ``saved`` model keeps that model's, whose slots belong to it.

    Raises:
        ConfigError: columns are to be standardised that cannot be.
    """
    n_columns = numeric_columns(dataset.schema)
    if config.standardize is True:
        _check(config, model, n_columns)
    if config.standardize is False or not isinstance(model, Foldable):
        return None
    if saved is not None and (saved.scaling is not None or config.standardize is None):
        return saved.scaling
    regression = model.task is Task.REGRESSION
    if not (n_columns or regression):
        return None
    return Scaling.of(
        column_moments(dataset, n_columns) if n_columns else None,
        target_moments(dataset) if regression else None,
    )


def numeric_columns(schema: Schema) -> int:
    """How many leading columns hold a number in every example."""
    return schema.n_dense if schema.sparse else schema.n_features


def _check(config: RunConfig, model: Model, n_columns: int) -> None:
    if not isinstance(model, Foldable):
        raise ConfigError(
            f"standardize = true is for our own models, whose parameters can be brought back to "
            f"the raw columns, not for {config.model}: let the model scale what it is given, or "
            "scale the columns before"
        )
    if not n_columns:
        raise ConfigError(
            f"standardize = true needs columns that hold a number in every example, but "
            f"{config.data} is sparse, and would not be any more if it were centred: leave "
            "standardize out, or scale the columns before"
        )
