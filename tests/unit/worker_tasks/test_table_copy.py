"""A replica of a model with tables trains as one that has all of them, and moves less."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import random_array

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.initial import initial_values
from distbelief.app.models.linear import LogisticRegression, SoftmaxRegression
from distbelief.app.models.losses import log_loss
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Model, SparseModel
from distbelief.app.models.parameters import joined
from distbelief.app.models.wide_deep import WideDeep
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Fetched, Pushed, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.table_copy import shares_of

N_EXAMPLES, N_FEATURES = 90, 200


def sparse_data(n_classes: int = 2, seed: int = 0) -> Dataset:
    """Some 5 of 200 features in each example."""
    rng = np.random.default_rng(seed)
    matrix = random_array((N_EXAMPLES, N_FEATURES), density=0.025, format="csr", rng=rng)
    features = SparseFeatures(
        matrix.indptr.astype(np.int64), matrix.indices, matrix.data.astype(np.float32), N_FEATURES
    )
    labels = rng.integers(0, n_classes, N_EXAMPLES)
    return Dataset(features, labels, Schema(N_FEATURES, n_classes, sparse=True), "sparse", "0")


@dataclass
class Counting(MemoryParameterStore):
    """Counts the rows that are fetched and pushed."""

    fetched: list[int] = field(default_factory=list)
    pushed: list[int] = field(default_factory=list)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fetched = []
        self.pushed = []

    def fetch(self, name: str = PARAMETERS, **more: Any) -> Fetched:
        self.fetched.append(sum(map(len, more.get("rows", ()))))
        return super().fetch(name, **more)

    def push(self, *arguments: Any, **more: Any) -> Pushed:
        self.pushed.append(sum(len(part.ids) for part in more.get("rows", ())))
        return super().push(*arguments, **more)


def store_for(model: Model, config: RunConfig, *, tables: bool) -> Counting:
    layout = Layout.plan(
        model.tensors,
        n_servers=2,
        block_numbers=16,
        n_shards=2,
        table_numbers=1 if tables else None,
        seed=config.seed,
    )
    if not tables:
        layout = replace(layout, n_shards=1)
    store = Counting(layout, build_rule(config), fence=1)
    first = initial_values(layout.dense, model, "model", config.seed)
    store.create(first)
    return store


def trained(config: RunConfig, model: Model, data: Dataset, *, tables: bool) -> Counting:
    store = store_for(model, config, tables=tables)
    rows = np.arange(N_EXAMPLES)
    shares = shares_of(model, data, [rows], store.layout) if config.l2 else []
    examples = Examples(data, Subset(rows, 0, 1, config.seed), shares)
    Replica(model, examples, store, config).run(Token(1, 0, 1), 30)
    return store


def every_parameter(store: MemoryParameterStore) -> list[float]:
    rows = [np.arange(table.n_rows) for table in store.layout.tables]
    fetched = store.fetch(rows=rows)
    flat = fetched.vector
    if rows:
        flat = joined(store.layout.tensors, flat, fetched.tables)
    return [float(number) for number in flat]


MODELS: list[SparseModel] = [
    LogisticRegression(N_FEATURES, sparse=True),
    SoftmaxRegression(N_FEATURES, 3, sparse=True),
    MLP(N_FEATURES, 3, (6,), sparse=True),
    FactorizationMachine(N_FEATURES, 2, rank=3, sparse=True),
    WideDeep(5, tuple(range(0, N_FEATURES - 4, 39)), 2, (6,), embedding=3),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    "settings",
    [
        {"n_fetch": 1, "n_push": 1},
        {"optimizer": "ftrl", "ftrl_l1": 0.01, "n_fetch": 1, "n_push": 2},
        {"optimizer": "sgd", "n_fetch": 4, "n_push": 4},
        {"optimizer": "sgd", "n_fetch": 3, "n_push": 2},
        {"optimizer": "sgd", "n_fetch": 5, "n_push": 1},
    ],
    ids=str,
)
def test_one_replica_computes_the_same_with_tables_and_without(
    model: Model, settings: dict[str, Any]
) -> None:
    """To the last bit where no push has the sum of several minibatches.

    With Adagrad and longer windows the two differ in their local steps alone: a window
    brings the rows' accumulators, the flat copy keeps those that it began with.
    """
    config = RunConfig(**{"batch_size": 8, "overlap": False} | settings)
    data = sparse_data(getattr(model, "n_classes", 2))
    tabled = every_parameter(trained(config, model, data, tables=True))
    flat = every_parameter(trained(config, model, data, tables=False))
    np.testing.assert_allclose(tabled, flat, rtol=2e-5, atol=1e-7)
    if settings.get("n_push") == 1:
        assert tabled == flat


def test_only_the_rows_of_the_minibatches_travel() -> None:
    config, model, data = (
        RunConfig(batch_size=8, n_push=1, n_fetch=1, overlap=False),
        MODELS[0],
        sparse_data(),
    )
    store = trained(config, model, data, tables=True)
    rows = np.arange(N_EXAMPLES)
    subset = Subset(rows, 0, 1, config.seed)
    touched = [
        len(np.unique(data.features[subset.minibatch(step, 8)].indices)) for step in range(30)
    ]
    assert store.pushed == touched
    assert [count for count in store.fetched if count] == touched


@pytest.mark.parametrize("n_fetch", [1, 3])
def test_with_overlap_the_next_window_is_there_in_time(n_fetch: int) -> None:
    config = RunConfig(batch_size=8, overlap=True, n_push=1, n_fetch=n_fetch)
    store = trained(config, MODELS[0], sparse_data(), tables=True)
    assert [count.applied for count in store.counts()] == [30] * store.layout.n_shards


def test_rows_that_no_example_touches_never_come_into_being() -> None:
    data = sparse_data()
    store = trained(RunConfig(batch_size=8, n_push=1, n_fetch=1), MODELS[0], data, tables=True)
    (rows,) = store.touched()
    blocks = np.unique(data.features.indices // 16)
    assert np.unique(rows.ids // 16).tolist() == blocks.tolist()


def test_the_penalty_of_a_pass_is_that_of_the_whole_objective() -> None:
    """At fixed parameters the minibatches of a pass, of one size, sum up to it exactly."""
    config = RunConfig(batch_size=9, l2=0.5, optimizer="sgd", n_push=10, n_fetch=10, overlap=False)
    config = config.model_copy(update={"learning_rate": 1e-30})
    data, model = sparse_data(), MODELS[0]
    store = store_for(model, config, tables=True)
    weights = np.random.default_rng(1).normal(size=(N_FEATURES, 1))
    store.put(PARAMETERS, np.zeros(1), [TableRows(np.arange(N_FEATURES), weights)])
    rows, pushed, push = np.arange(N_EXAMPLES), list[Any](), store.push

    def keep(*arguments: Any, **more: Any) -> Pushed:
        pushed.extend(more["rows"])
        return push(*arguments, **more)

    store.push = keep  # type: ignore[method-assign]
    examples = Examples(data, Subset(rows, 0, 1, 0), shares_of(model, data, [rows], store.layout))
    Replica(model, examples, store, config).run(Token(1, 0, 1), 10)

    features = data.features[:]
    outputs = (features @ weights).astype(np.float64)
    log_loss(outputs, data.targets)
    expected = (features.T @ outputs + 0.5 * weights)[np.unique(features.indices)]
    assert pushed[0].ids.tolist() == np.unique(features.indices).tolist()
    np.testing.assert_allclose(pushed[0].values / 10, expected, rtol=1e-4, atol=1e-6)
