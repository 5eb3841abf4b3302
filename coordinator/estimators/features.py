"""X as estimators take it: arrays that scikit-learn checks, and DataFrames as they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_y, check_consistent_length, validate_data

from distbelief.app.datasets.examples.column import IGNORED
from distbelief.app.datasets.formats.frames import frame_of
from distbelief.coordinator.inference.trained_model import TrainedModel

Array = npt.NDArray[Any]

#: The arrays that are taken; whole numbers become floats that keep them.
KINDS: Mapping[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32)}


def checked_features(estimator: BaseEstimator, features: Any, *, gaps: bool) -> Any:
    """Features to predict from; with ``gaps`` some may be NaN."""
    if is_frame(features):
        validate_data(estimator, features, reset=False, skip_check_array=True)
        return features
    with _advice_on_texts():
        return validate_data(estimator, features, reset=False, **_kinds(features, gaps=gaps))


def checked_examples(
    estimator: BaseEstimator, features: Any, targets: Any, *, reset: bool, gaps: bool
) -> tuple[Any, Array]:
    """Features and targets to train on, likewise; with ``reset`` they are the first ones."""
    numeric = isinstance(estimator, RegressorMixin)
    if not is_frame(features):
        kinds = _kinds(features, gaps=gaps)
        kinds["y_numeric"] = numeric
        with _advice_on_texts():
            x, y = validate_data(estimator, features, targets, reset=reset, **kinds)
        return x, y
    validate_data(estimator, features, targets, reset=reset, skip_check_array=True)
    y = _check_y(targets, y_numeric=numeric, estimator=estimator)
    check_consistent_length(features, y)
    return features, y


def is_frame(features: Any) -> bool:
    """Whether the columns have names, by which they are then known."""
    return frame_of(features, "X") is not None


def warn_of_columns(model: TrainedModel) -> None:
    """Name the columns that were left out although no option says so."""
    left_out = [
        f"{column.name} ({column.remark})"
        for column in model.saved.compatibility().table
        if column.kind == IGNORED and column.remark and not column.remark.startswith("as ")
    ]
    if left_out:
        warnings.warn(
            f"X has columns that are left out: {', '.join(left_out)}; settings="
            '{"data_options": {"keep": NAME}} uses one, "ignore" leaves it out in silence',
            stacklevel=5,
        )


def by_column(model: TrainedModel, weights: Array, bias: Array) -> tuple[Array, Array]:
    """Coefficients of features as those of the columns that these came of, 0 for others."""
    table = model.saved.compatibility().table
    numbers = [column for column in table if column.is_number]
    if len(numbers) != weights.shape[1]:  # there are categories, or indicators
        return weights, bias
    origins = np.array([column.origin for column in numbers])
    spread = np.zeros((len(weights), len(table)), weights.dtype)
    spread[:, [column.is_number for column in table]] = weights
    return spread, (bias - weights @ origins).astype(bias.dtype)


@contextmanager
def _advice_on_texts() -> Iterator[None]:
    """Say what takes texts, where NumPy finds one in an array."""
    try:
        yield
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
        raise ValueError(
            f"{error}: texts are taken as categories from a DataFrame whose columns have names"
        ) from error


def _kinds(features: Any, *, gaps: bool) -> dict[str, Any]:
    """What scikit-learn lets pass; of sparse features those that are missing are 0."""
    finite = "allow-nan" if gaps and not issparse(features) else True
    return {**KINDS, "ensure_all_finite": finite}
