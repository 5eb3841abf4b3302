"""What is to be trained, checked before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.config import RunConfig
from app.datasets.cache import default_cache_folder, open_cached
from app.datasets.dataset import Dataset
from app.datasets.sources import is_file
from app.datasets.split import Rows, Subset, split
from app.errors import ConfigError, ModelError
from app.layout import Layout, Vector
from app.models.files import load_model
from app.models.initial import first_values
from app.models.model import Model
from app.models.registry import build_model
from app.optimizers.registry import build_rule
from app.optimizers.rule import NO_SLOTS, Slots
from coordinator.portions import default_count
from coordinator.units import UnitPlan


@dataclass(frozen=True)
class Job:
    """A training that can begin. ``parameters`` and each slot have shape (D,).

    ``plan`` is Downpour's, ``portions`` the size of Sandblaster's batch in portions.
    """

    config: RunConfig
    dataset: Dataset
    model: Model
    layout: Layout
    n_train: int
    n_heldout: int
    plan: UnitPlan | None
    portions: int | None
    parameters: Vector
    slots: dict[str, Vector]


def prepare(config: RunConfig, n_servers: int, *, resumed: bool = False) -> Job:
    """Open the data, build the model, cut the work; every mistake of the user shows here.

    A ``resumed`` run does not need the file that it was started from any more.

    Raises:
        DataError, ModelError, ConfigError: with what is wrong and what is allowed.
    """
    if is_file(config.data):  # a worker on this machine may have another working directory
        config = config.model_copy(update={"data": str(Path(config.data).expanduser().resolve())})
    dataset = open_cached(config.data, config.data_options, default_cache_folder())
    train, heldout = split(dataset.n_examples, config.holdout, config.seed)
    model = build_model(config, dataset.schema)
    layout = Layout.plan(
        model.tensors,
        n_servers=n_servers,
        block_numbers=config.block_numbers,
        n_shards=config.shards,
    )
    start = config.model_copy(update={"init_from": None}) if resumed else config
    parameters, slots = _first_values(start, model, dataset)
    downpour = config.algorithm == "downpour"
    return Job(
        config=config,
        dataset=dataset,
        model=model,
        layout=layout,
        n_train=len(train),
        n_heldout=len(heldout),
        plan=_unit_plan(config, train) if downpour else None,
        portions=None if downpour else _portions(config, len(train), layout.size),
        parameters=parameters,
        slots=slots,
    )


def _unit_plan(config: RunConfig, train: Rows) -> UnitPlan:
    parts = [Subset(train, r, config.replicas, config.seed) for r in range(config.replicas)]
    return UnitPlan([part.steps_per_pass(config.batch_size) for part in parts], config)


def _portions(config: RunConfig, n_train: int, n_parameters: int) -> int:
    if config.portions is None:
        return default_count(n_train, n_parameters)
    if config.portions > n_train:
        raise ConfigError(
            f"portions = {config.portions} is more than the {n_train} training examples: "
            f"use at most {n_train}"
        )
    return config.portions


def _first_values(
    config: RunConfig, model: Model, dataset: Dataset
) -> tuple[Vector, dict[str, Vector]]:
    """From the seed, or from a saved model: its parameters, and its accumulators if it has any."""
    slots: Slots = NO_SLOTS
    if config.init_from is None:
        parameters = first_values(model, config.model, config.seed)
    else:
        saved = load_model(Path(config.init_from))
        if saved.build().tensors != model.tensors:
            raise ModelError(
                f"{config.init_from} holds a {saved.settings.model} for {saved.schema.n_features} "
                f"features with other tensors than this run's {config.model} for "
                f"{dataset.n_features} features: choose the same model settings"
            )
        parameters = saved.parameters
        slots = saved.slots
    if not np.isfinite(parameters).all():
        raise ModelError(f"{config.init_from} holds NaN or infinity")
    rule = build_rule(config)
    return parameters, dict(rule.initial_slots(parameters.astype(np.float64), slots))
