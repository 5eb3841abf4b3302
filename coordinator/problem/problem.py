"""The problem that a training solves: data, model, layout and initial values.

It knows no algorithm: each of them computes from the problem how it divides the work
(:meth:`distbelief.coordinator.downpour.units.UnitPlan.of`,
:func:`distbelief.coordinator.sandblaster.portion_count.portions_of`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.datasets.sources.source import parse
from distbelief.app.datasets.split.partition import in_file_order
from distbelief.app.layout.layout import Layout
from distbelief.app.models.imports import named_modules
from distbelief.app.models.model import Model
from distbelief.app.models.registry import build_model
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.gradient_check import check_model
from distbelief.coordinator.problem.initial_values import InitialValues, make_initial_values
from distbelief.coordinator.problem.memory_estimate import (
    MemoryEstimate,
    TableEstimate,
    check_room,
    estimate_memory,
    estimate_tables,
)
from distbelief.coordinator.problem.trial import trial_of
from distbelief.coordinator.progress.scores import ScoreFormatter


@dataclass(frozen=True)
class Problem:
    """Examples, a model, and where its parameters begin.

    ``table_estimate`` is there where the layout has tables. ``unjudged`` is what could not be
    said of a user's own model, empty if there is none or all was judged.
    """

    config: RunConfig
    data: RunData
    model: Model
    layout: Layout
    n_train: int
    n_heldout: int
    initial_values: InitialValues
    score_formatter: ScoreFormatter
    table_estimate: TableEstimate | None = None
    unjudged: str = ""

    def with_interval(self, interval: int) -> Problem:
        """The problem of a run whose ``n_push`` and ``n_fetch`` are chosen."""
        return replace(self, config=self.config.with_interval(interval))

    @property
    def n_parameters(self) -> int:
        """Numbers of all tensors, those of tables included."""
        return sum(tensor.size for tensor in self.layout.tensors)

    @property
    def dataset(self) -> Dataset:
        return self.data.dataset

    @property
    def memory(self) -> MemoryEstimate:
        """The memory that a training of it will take."""
        return estimate_memory(self.config, self.layout, self.table_estimate)


def prepare(
    config: RunConfig,
    n_servers: int,
    progress: Progress | None = None,
    *,
    recorded: Layout | None = None,
) -> Problem:
    """Open the data, build the model, cut it into shards; mistakes of the user show here.

    But for those in the division of the work, which the algorithms know:
    :func:`distbelief.coordinator.doctor.preflight.check_division`.

    ``progress`` is told how far a conversion of the data is. A run that is resumed has a
    ``recorded`` layout, which it keeps on as many servers; and it does not need the model file
    that it was started from any more.

    Raises:
        DataError, ModelError, ConfigError: with what is wrong and what is allowed.
    """
    config = _with_absolute_paths(config)
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
    check_room(config, layout, dataset.n_features)
    start = config
    if recorded is not None:
        start = config.model_copy(update={"init_from": None})
        if (recorded.tensors, recorded.n_servers) == (layout.tensors, n_servers):
            layout = recorded
    first = make_initial_values(start, model, layout)
    return Problem(
        config=config,
        data=data,
        model=model,
        layout=layout,
        n_train=len(train),
        n_heldout=len(data.heldout),
        initial_values=first,
        score_formatter=score_formatter,
        table_estimate=estimate_tables(
            model,
            dataset,
            in_file_order(train),
            layout,
            config.dtype.itemsize,
            len(build_rule(config).slots),
        ),
        unjudged=_check_own(config, model, first, data),
    )


def _check_own(config: RunConfig, model: Model, first: InitialValues, data: RunData) -> str:
    """Try a model of the user's own, see :func:`check_model`; ours are tried in our tests."""
    if not named_modules(config):
        return ""
    name = f'module "{config.module}"' if config.model == "torch" else f'model "{config.model}"'
    return check_model(trial_of(name, model, first, data.dataset, data.train), config.dtype)


def _with_absolute_paths(config: RunConfig) -> RunConfig:
    """A worker on this machine may have another working directory."""
    sources = {name: getattr(config, name) for name in ("data", "holdout_data", "test_data")}
    return config.model_copy(
        update={name: each and parse(each).absolute() for name, each in sources.items()}
    )
