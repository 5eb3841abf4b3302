"""Data that are small enough are scaled once, and not in every minibatch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.run_data import RunData, Selection
from distbelief.app.models.model import Model
from distbelief.app.models.scaling import Scaled, Scaling

#: A process copies features of at most so many bytes.
COPIED_BYTES = 64 << 20


def prescaled(model: Model, data: RunData, dtype: np.dtype[np.floating]) -> tuple[Model, RunData]:
    """The same model and data with scaled features, if these are small, dense and of ``dtype``.

    Their numbers are those that the model would make of the raw ones.
    """
    if not (isinstance(model, Scaled) and model.scaling.n_columns):
        return model, data
    parts = (data.dataset, data.heldout.dataset)
    arrays = [each.features for each in parts]
    if not all(isinstance(each, np.ndarray) and each.dtype == dtype for each in arrays):
        return model, data
    if sum({id(each): each.nbytes for each in arrays}.values()) > COPIED_BYTES:
        return model, data
    of_training = _scaled(data.dataset, model.scaling)
    same = data.heldout.dataset is data.dataset
    heldout = of_training if same else _scaled(data.heldout.dataset, model.scaling)
    selection = Selection(heldout, data.heldout.part)
    without = Scaled(model.model, model.scaling.of_targets)
    return without, replace(data, dataset=of_training, heldout=selection)


def _scaled(dataset: Dataset, scaling: Scaling) -> Dataset:
    features = scaling.features(dataset.features, dataset.features.dtype)
    return replace(dataset, features=features)
