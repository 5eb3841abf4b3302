"""Whether a run trains on standardised columns and targets, and on which scaling."""

from __future__ import annotations

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.statistics import (
    Statistics,
    statistics_of,
    target_statistics,
)
from distbelief.app.errors import ConfigError
from distbelief.app.models.files import SavedModel
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Model, Task
from distbelief.app.models.scaling import Foldable, Scaling
from distbelief.app.settings.config import RunConfig

#: Columns whose spreads are within this factor of one another may well be in one unit.
ALIKE = 10.0
#: What rounding may take from an equality.
ROUNDING = 1e-6


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
    columns = _columns(dataset, n_columns) if n_columns else None
    return Scaling.of(
        columns,
        target_statistics(dataset.targets, dataset.weights) if regression else None,
        one_unit=columns is not None and _is_network(model) and in_one_unit(columns),
    )


def in_one_unit(columns: Statistics) -> bool:
    """Whether columns look as if one unit were that of all, as those of iris, in centimetres.

    Then their spreads say which of them matter, which would be lost if each were divided by its
    own. Columns with two values (yes or no) have no unit.
    """
    spread = columns.spread
    some = spread > 0
    if not some.any():
        return False
    # The variance is at most this, and as large for two values only (Bhatia & Davis 2000).
    most = (columns.mean - columns.least) * (columns.greatest - columns.mean)
    flags = np.square(spread) >= most * (1 - ROUNDING)
    alike = spread.max() <= ALIKE * spread[some].min()
    return bool(alike and not flags[some].any())


def _columns(dataset: Dataset, n_columns: int) -> Statistics:
    known = dataset.facts.statistics
    if known is not None and dataset.weights is None:
        return known  # the conversion has seen all
    return statistics_of(dataset.features, n_columns, dataset.weights)


def _is_network(model: Model) -> bool:
    """Whether the size of a column decides how soon it is learned; the minimum of linear models is
    the same in any unit, and near soonest where spreads are equal.
    """
    return isinstance(model, MLP) and bool(model.hidden)


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
