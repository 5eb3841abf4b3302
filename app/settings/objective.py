"""The settings of the objective and of the update rule."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from distbelief.app.settings.section import Section


class ObjectiveSettings(Section):
    """Objective and update rule"""

    optimizer: Literal["adagrad", "sgd", "momentum", "rmsprop", "adam", "ftrl"] = Field(
        "adagrad", description="update rule on the server"
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="the rule's rate: Adagrad's gamma, FTRL's alpha [default: the rule's own, "
        "adagrad and sgd 0.05, momentum 0.005, rmsprop and adam 0.001, ftrl 0.1]",
    )
    learning_rate_decay: float = Field(
        0.0, ge=0, description="inverse: rate / (1 + decay * updates applied by the shard)"
    )
    initial_accumulator: float = Field(
        0.1, ge=0, description="Adagrad: first value of the sums of squared gradients"
    )
    epsilon: float | None = Field(
        None,
        gt=0,
        description="added to the root of the squares [default: Adagrad 1e-10, RMSProp and "
        "Adam 1e-8]",
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum: share of the velocity that an update keeps"
    )
    smoothing: float = Field(
        0.99, ge=0, lt=1, description="RMSProp: share of the mean square that an update keeps"
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, description="Adam: share of the mean gradient that an update keeps"
    )
    beta2: float = Field(
        0.999, ge=0, lt=1, description="Adam: share of the mean square that an update keeps"
    )
    weight_decay: float = Field(
        0.0, ge=0, description="Adam: rate * this share of every number is taken off (AdamW)"
    )
    ftrl_beta: float = Field(1.0, gt=0, description="FTRL: added to the root of the squares")
    ftrl_l1: float = Field(
        0.0, ge=0, description="FTRL: L1, held against the sum of all gradients (biases too)"
    )
    ftrl_l2: float = Field(0.0, ge=0, description="FTRL: L2, likewise")
    l1: float = Field(
        0.0, ge=0, description="Sandblaster: adds l1 * |weights|_1 to the loss (not biases)"
    )
    l2: float | None = Field(
        None,
        ge=0,
        description="adds l2/2 * |weights|^2 to the loss (not biases), weights being those of "
        "standardised columns where these are [default: 1 / (4 * training examples) for L-BFGS's "
        "classifications without L1, else 0]",
    )
    clip_norm: float | None = Field(
        None, gt=0, description="longest gradient of one minibatch; longer ones are scaled down"
    )
