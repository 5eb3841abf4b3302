"""Every setting of a run, once: its name, default, bounds, unit and meaning.

The TOML file and the flags of the command line are made from these fields, so a setting has one
name everywhere. :mod:`distbelief.app.settings.config` puts the groups together and validates them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from distbelief.app.settings.objective import ObjectiveSettings as ObjectiveSettings
from distbelief.app.settings.section import Positive, Section

Scalar = bool | int | float | str
OptionValue = Scalar | list[int] | list[float] | list[str]
#: What computes on parameter servers; ``auto`` takes the native module where it is there.
WantedEngine = Literal["auto", "lua", "native"]


class ModelSettings(Section):
    """Model"""

    model: str = Field(
        "mlp",
        description="linear, logistic, softmax, mlp, fm (factorization machine), wide_deep, "
        "torch, or your own: package.module:Name",
    )
    hidden: tuple[Positive, ...] = Field(
        (64,), description="mlp, wide_deep: units of each hidden layer, from the input on"
    )
    activation: Literal["relu", "tanh", "sigmoid"] = Field(
        "relu", description="mlp, wide_deep: activation of the hidden layers"
    )
    init: Literal["glorot", "he"] = Field(
        "glorot", description="mlp, wide_deep: initial weights of the layers"
    )
    rank: Positive = Field(8, description="fm: factors of each feature")
    embedding: Positive = Field(8, description="wide_deep: numbers in a category's embedding")
    spread: float = Field(
        0.05, gt=0, description="fm, wide_deep: what features begin with is drawn from +-spread"
    )
    module: str | None = Field(
        None, description="torch: what makes your torch.nn.Module, package.module:function"
    )
    loss: str | None = Field(
        None,
        description="torch: cross_entropy, log_loss (of log-odds), mse, or your own: "
        "package.module:function [default: by the targets and the outputs]",
    )
    model_options: dict[str, OptionValue] = Field(
        {}, description="keyword arguments for your own model or module, KEY=VALUE"
    )
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="two classes: probability above which an example is of the positive one",
    )
    negative_rate: float = Field(
        1.0,
        gt=0,
        le=1,
        description="two classes: share of the negative examples that the data were left with; the "
        "saved model is corrected, so that it predicts as if all were there",
    )


class SandblasterSettings(Section):
    """Sandblaster L-BFGS"""

    iterations: Positive = Field(100, description="iterations of L-BFGS, at most")
    history: int = Field(10, ge=0, le=100, description="curvature pairs that L-BFGS remembers, m")
    gradient_tolerance: float = Field(
        1e-6,
        ge=0,
        description="converged when the gradient's 2-norm is at most this share of the first one",
    )
    decrease_tolerance: float = Field(
        1e-9,
        ge=0,
        description="converged when three iterations in a row lower the loss by at most this share "
        "of it each",
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="numbers of the vectors on the servers"
    )
    portions: Positive | None = Field(
        None, description="portions of the batch [default: some 10 ms of work each, at least 8]"
    )
    backup_seconds: float = Field(
        0.5, ge=0.05, description="age before which no backup of a portion is sent"
    )


def _score(value: Any) -> Any:
    """A score to reach; who names a column means another thing that is called a target."""
    try:
        return value if value is None else float(value)
    except (TypeError, ValueError):
        raise ValueError(
            "must be a number, the held-out score that ends the training; the option "
            f"target={value} names the column of the targets"
        ) from None


class HybridSettings(Section):
    """Hybrid of both"""

    handover_decrease: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="hybrid: L-BFGS takes over after the first pass of Downpour that lowers the "
        "training loss, its mean over a pass, by at most this share of it; after the last pass at "
        "the latest",
    )


class StopSettings(Section):
    """When to stop and what to keep"""

    passes: Positive | None = Field(
        None,
        description="Downpour: passes over the training data, at most "
        "[default: 40, and more where these would be less than 400 minibatches]",
    )
    max_seconds: float | None = Field(None, gt=0, description="seconds of training, at most")
    metric: Literal["accuracy", "auc", "log_loss", "rmse"] | None = Field(
        None,
        description="held-out figure that decides which model is best "
        "[default: accuracy; rmse of a regression]",
    )
    target: Annotated[float | None, BeforeValidator(_score)] = Field(
        None, description="stop when the held-out metric is at least this good"
    )
    patience: Positive | None = Field(
        None,
        description="stop after this many held-out evaluations that were not better "
        "(in the metric, or in the loss where metrics are equal)",
    )
    evaluate_every: float = Field(
        2.0, gt=0, description="passes (L-BFGS: iterations) between held-out evaluations"
    )


class CheckpointSettings(Section):
    """Checkpoints"""

    checkpoint_seconds: float = Field(
        30.0,
        gt=0,
        description="seconds of training between checkpoints (and so at most what a server "
        "that loses its data costs)",
    )
    keep_checkpoints: Positive = Field(
        3, description="last checkpoints that stay, beside the best one"
    )


class RunSettings(Section):
    """Run"""

    algorithm: Literal["downpour", "sandblaster", "hybrid"] = Field(
        "downpour",
        description="Downpour SGD, Sandblaster L-BFGS, or hybrid: L-BFGS from where Downpour comes "
        "to",
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=40,
        description="what the run is called, at the end of its id: letters, digits, . _ and - "
        "[default: the time alone]",
    )
    note: str = Field("", max_length=500, description="a line on the run, for whoever looks at it")
    seed: int = Field(0, ge=0, description="seed of initial values, split and minibatch order")
    init_from: str | None = Field(
        None, description="saved model whose parameters and accumulators to start from"
    )


class StoreSettings(Section):
    """Parameter shards and leases"""

    shards: Positive | None = Field(
        None,
        description="number of shards (with tables: that many for them, too) "
        "[default: at most 65,536 numbers in each, and fewer for call_ms]",
    )
    table_numbers: int = Field(
        65_536,
        ge=1,
        description="Downpour: sparse parameters of at least so many numbers are kept as tables, "
        "of which replicas fetch and push only the rows that a minibatch touches (hybrid refuses "
        "these)",
    )
    block_numbers: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="numbers in one block (one field of a hash) [default: 4096, and fewer in small "
        "models]",
    )
    call_ms: float = Field(
        10.0,
        ge=1,
        description="milliseconds that calls may keep others on a parameter server waiting: there "
        "calls are shorter, and where Lua computes shards are smaller",
    )
    lease_seconds: float = Field(
        10.0, ge=0.2, description="seconds after which the work of a silent worker is given away"
    )
    server_seconds: float = Field(
        60.0, gt=0, description="seconds to keep trying a server that does not answer"
    )
    stall_seconds: float = Field(
        120.0, gt=0, description="seconds without any worker at work after which the run ends"
    )
    unit_attempts: Positive = Field(
        5,
        description="times that a unit of work may fail, or lose its worker without getting any "
        "further, before the run ends",
    )
    unit_seconds: float | None = Field(
        None,
        gt=0,
        description="seconds that somebody else's task waits for those of a run, at most: units, "
        "portions and evaluations are cut so short that three of them take no longer "
        "[default: none; 2 with a celery_app]",
    )
