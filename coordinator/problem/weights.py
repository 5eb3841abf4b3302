"""Whether a model can be trained on examples that have weights, or that were picked."""

from __future__ import annotations

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.models.model import Model, takes_weights
from distbelief.app.models.scaling import Foldable
from distbelief.app.settings.config import RunConfig


def check_weights(config: RunConfig, model: Model, dataset: Dataset) -> None:
    """Raise ModelError if examples have weights that the model would not see."""
    if dataset.weights is None or takes_weights(model):
        return
    if config.model == "torch":
        raise ModelError(
            f"the examples have weights, but the loss {config.loss} gives one number for all of "
            "them: use cross_entropy, log_loss or mse, or leave the weights out"
        )
    raise ModelError(
        f"the examples have weights, but loss_and_gradient of {config.model} takes none: give it a "
        "keyword weights=None, which multiply the loss of each example, or leave the weights out"
    )


def check_negatives(config: RunConfig, model: Model, dataset: Dataset) -> None:
    """Raise ConfigError if predictions cannot be corrected for negatives that are not there."""
    if config.negative_rate == 1:
        return
    if dataset.n_classes != 2:
        raise ConfigError(
            f"negative_rate = {config.negative_rate:g} is for two classes, {config.data} has "
            f"{dataset.n_classes or 'numbers as targets'}"
        )
    if not isinstance(model, Foldable):
        raise ConfigError(
            f"negative_rate = {config.negative_rate:g} is for our own models, not for "
            f"{config.model}: multiply the odds that it predicts by it"
        )
