"""What is to be trained, checked before anything is started."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.datasets.sources.source import parse
from distbelief.app.datasets.split.partition import ShuffledRows, Subset, in_file_order
from distbelief.app.errors import ConfigError
from distbelief.app.layout.layout import Layout
from distbelief.app.models.model import Model
from distbelief.app.models.registry import build_model
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.initial_values import InitialValues, begin
from distbelief.coordinator.problem.memory_estimate import Footprint, footprint
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.sandblaster.portions import default_count


@dataclass(frozen=True)
class Problem:
    """A training that can begin.

    ``plan`` is Downpour's, and final once ``n_push`` is chosen; ``portions`` the size of
    Sandblaster's batch in portions;
    ``footprint`` is told where there are tables.
    """

    config: RunConfig
    data: RunData
    model: Model
    layout: Layout
    n_train: int
    n_heldout: int
    plan: UnitPlan | None
    portions: int | None
    first: InitialValues
    score_formatter: ScoreFormatter
    footprint: Footprint | None = None

    def with_interval(self, interval: int) -> Problem:
        """The job of a run whose ``n_push`` and ``n_fetch`` are chosen."""
        config = self.config.with_interval(interval)
        return replace(self, config=config, plan=_unit_plan(config, self.data.train))

    @property
    def n_parameters(self) -> int:
        """Numbers of all tensors, those of tables included."""
        return sum(tensor.size for tensor in self.layout.tensors)

    @property
    def dataset(self) -> Dataset:
        return self.data.dataset


def prepare(
    config: RunConfig, n_servers: int, progress: Progress | None = None, *, resumed: bool = False
) -> Problem:
    """Open the data, build the model, cut the work; every mistake of the user shows here.

    ``progress`` is told how far a conversion of the data is. A ``resumed`` run does not
    need the model file that it was started from any more.

    Raises:
        DataError, ModelError, ConfigError: with what is wrong and what is allowed.
    """
    config = config.model_copy(
        update={"data": _absolute(config.data), "holdout_data": _absolute(config.holdout_data)}
    )
    data = open_data(config, default_cache_folder(), progress)
    dataset, train = data.dataset, data.train
    model = build_model(config, dataset.schema)
    score_formatter = ScoreFormatter.of(model.task, config, dataset.schema, config.metric)
    downpour = config.algorithm == "downpour"
    layout = Layout.plan(
        model.tensors,
        n_servers=n_servers,
        block_numbers=config.block_numbers,
        n_shards=config.shards,
        table_numbers=config.table_numbers if downpour else None,
        seed=config.seed,
    )
    start = config.model_copy(update={"init_from": None}) if resumed else config
    return Problem(
        config=config,
        data=data,
        model=model,
        layout=layout,
        n_train=len(train),
        n_heldout=len(data.heldout),
        plan=_unit_plan(config.with_interval(1), train) if downpour else None,
        portions=None if downpour else _portions(config, len(train), model, dataset),
        first=begin(start, model, layout),
        score_formatter=score_formatter,
        footprint=footprint(
            model,
            dataset,
            in_file_order(train),
            layout,
            config.dtype.itemsize,
            len(build_rule(config).slots),
        ),
    )


def _absolute(source: str | None) -> str | None:
    """A worker on this machine may have another working directory."""
    return None if source is None else parse(source).absolute()


def _unit_plan(config: RunConfig, train: ShuffledRows) -> UnitPlan:
    parts = [Subset(train, r, config.replicas, config.seed) for r in range(config.replicas)]
    return UnitPlan([part.steps_per_pass(config.batch_size) for part in parts], config)


def _portions(config: RunConfig, n_train: int, model: Model, dataset: Dataset) -> int:
    if config.portions is None:
        touched = (
            tensor.size // tensor.shape[0] * dataset.entries_per_example
            if tensor.sparse
            else tensor.size
            for tensor in model.tensors
        )
        return default_count(n_train, math.ceil(sum(touched)))
    if config.portions > n_train:
        raise ConfigError(
            f"portions = {config.portions} is more than the {n_train} training examples: "
            f"use at most {n_train}"
        )
    return config.portions
