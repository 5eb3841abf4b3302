"""The problem that a training solves: data, model, layout and initial values.

It knows no algorithm: each of them computes from the problem how it divides the work
(:meth:`distbelief.coordinator.downpour.units.UnitPlan.of`,
:func:`distbelief.coordinator.sandblaster.portion_count.portions_of`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.datasets.sources.source import parse
from distbelief.app.datasets.split.partition import in_file_order
from distbelief.app.errors import ModelError
from distbelief.app.layout.layout import Layout
from distbelief.app.models import sources
from distbelief.app.models.files import SavedModel
from distbelief.app.models.imports import named_modules
from distbelief.app.models.model import Model
from distbelief.app.models.registry import build_model
from distbelief.app.models.scaling import Scaling, loss_unit, scaled
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.completion import completed
from distbelief.coordinator.problem.gradient_check import check_model
from distbelief.coordinator.problem.initial_values import (
    InitialValues,
    make_initial_values,
    model_to_go_on_from,
)
from distbelief.coordinator.problem.memory_estimate import (
    MemoryEstimate,
    TableEstimate,
    check_room,
    check_rounds,
    check_tables,
    estimate_memory,
    estimate_tables,
)
from distbelief.coordinator.problem.standardisation import scaling_of
from distbelief.coordinator.problem.targets import agreed, told
from distbelief.coordinator.problem.trial import trial_of
from distbelief.coordinator.problem.weights import check_negatives, check_weights
from distbelief.coordinator.problem.wire import check_wire
from distbelief.coordinator.progress.scores import ScoreFormatter


@dataclass(frozen=True)
class Problem:
    """Examples, a model, and where its parameters begin.

    The model takes the columns as they are; its parameters belong to those under ``scaling``,
    if there is one.
    ``table_estimate`` is there where the layout has tables. ``unjudged`` is what could not be
    said of a user's own model, empty if there is none or all was judged. ``chosen`` are settings
    that nobody gave, beside intervals, and that were chosen by measuring.
    """

    config: RunConfig
    data: RunData
    model: Model
    layout: Layout
    n_train: int
    n_heldout: int
    initial_values: InitialValues
    score_formatter: ScoreFormatter
    scaling: Scaling | None = None
    table_estimate: TableEstimate | None = None
    unjudged: str = ""
    chosen: tuple[str, ...] = ()

    def with_interval(self, interval: int) -> Problem:
        """The problem of a run whose ``n_push`` and ``n_fetch`` are chosen."""
        return replace(self, config=self.config.with_interval(interval))

    @property
    def n_parameters(self) -> int:
        """Numbers of all tensors, those of tables included."""
        return sum(tensor.size for tensor in self.layout.tensors)

    @property
    def loss_unit(self) -> float:
        """A loss as training computes it, in the unit of the targets as they are."""
        return loss_unit(self.model)

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
    recorded: RunRecord | None = None,
) -> Problem:
    """Open the data, build the model, cut it into shards; mistakes of the user show here.

    But for those in the division of the work, which the algorithms know:
    :func:`distbelief.coordinator.doctor.division.check_division`.

    ``progress`` is told how far a conversion of the data is. A run that is resumed has been
    ``recorded``: it keeps its scaling, and its layout on as many servers; and it does not need the
    model file that it was started from any more.

    Raises:
        DataError, ModelError, ConfigError: with what is wrong and what is allowed.
    """
    config = _with_absolute_paths(config)
    saved = None if recorded is not None else model_to_go_on_from(config)
    config, data = _open(told(config), progress, _fits(config, saved, recorded))
    dataset, train = data.dataset, data.train
    model = build_model(config, dataset.schema)
    check_weights(config, model, dataset)
    check_negatives(config, model, dataset)
    check_tables(config, model.tensors)
    check_rounds(config, model.tensors)
    check_wire(config, model.tensors)
    check_room(config, model.tensors)
    scaling = None if recorded is None else recorded.scaling
    if recorded is None:
        config = completed(config, model, data.total_weight)
        scaling = scaling_of(config, model, dataset, saved)
    score_formatter = ScoreFormatter.of(model.task, config, dataset.schema, config.metric)
    layout = _layout(config, model, n_servers, None if recorded is None else recorded.layout)
    first = make_initial_values(config, model, layout, dataset.schema, saved, scaling)
    return Problem(
        config=config,
        data=data,
        model=scaled(model, scaling),
        scaling=scaling,
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
            len(shard_rule(config).slots),
        ),
        unjudged=_check_own(config, model, first, data),
        chosen=() if recorded is None else recorded.chosen,
    )


def _layout(config: RunConfig, model: Model, n_servers: int, recorded: Layout | None) -> Layout:
    downpour = config.algorithm == "downpour"
    layout = Layout.plan(
        model.tensors,
        n_servers=n_servers,
        block_numbers=config.block_numbers,
        n_shards=config.shards,
        table_numbers=config.table_numbers if downpour else None,
        seed=config.seed,
    )
    kept = recorded is not None and (
        (recorded.tensors, recorded.n_servers) == (layout.tensors, n_servers)
    )
    return recorded if recorded is not None and kept else layout


def _open(
    config: RunConfig, progress: Progress | None, fits: Compatibility | None
) -> tuple[RunConfig, RunData]:
    """The data as the model needs their targets, and the configuration that says so."""
    data = open_data(config, default_cache_folder(), progress, fits)
    while (again := agreed(config, data.dataset.schema)) is not config:
        config = again
        data = open_data(config, default_cache_folder(), progress, fits)
    return config, data


def _fits(
    config: RunConfig, saved: SavedModel | None, recorded: RunRecord | None
) -> Compatibility | None:
    """What the training data must fit: columns and classes of the model that training goes on from.

    A run that was recorded by an older program fitted nothing.
    """
    if recorded is not None:
        return recorded.fits
    return None if saved is None else saved.compatibility(f"the model {config.init_from}")


def _check_own(config: RunConfig, model: Model, first: InitialValues, data: RunData) -> str:
    """Try a model of the user's own, see :func:`check_model`; ours are tried in our tests."""
    modules = named_modules(config)
    if not modules:
        return ""
    if older := sources.outdated(modules):
        raise ModelError(
            f"{older[0]} has changed since this program imported it, and workers may import it as "
            f"it is now: call importlib.reload({older[0]}), or start the program again"
        )
    name = f'module "{config.module}"' if config.model == "torch" else f'model "{config.model}"'
    return check_model(trial_of(name, model, first, data.dataset, data.train), config.dtype)


def _with_absolute_paths(config: RunConfig) -> RunConfig:
    """A worker on this machine may have another working directory."""
    sources = {name: getattr(config, name) for name in ("data", "holdout_data", "test_data")}
    return config.model_copy(
        update={name: each and parse(each).absolute() for name, each in sources.items()}
    )
