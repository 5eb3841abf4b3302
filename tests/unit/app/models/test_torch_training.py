"""One replica that pushes and fetches every step is plain torch with the same Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import views
from distbelief.app.models.parameters import joined
from distbelief.app.models.registry import build_model
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.problem.initial_values import make_initial_values
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from tests.unit.app.models.torchcases import CASES, allow, examples, plain

torch = pytest.importorskip("torch")

N_EXAMPLES, STEPS = 70, 60


@pytest.fixture(autouse=True)
def _nets(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)  # the modules are tiny
    allow(monkeypatch)


def configured(factory: str, **settings: Any) -> RunConfig:
    return RunConfig(
        model="torch",
        module=f"torchnets:{factory}",
        replicas=1,
        n_push=1,
        n_fetch=1,
        overlap=False,
        batch_size=8,
        learning_rate=0.1,
        learning_rate_decay=0.01,
        epsilon=1e-10,
        **settings,
    )


def data_for(schema: Schema) -> Dataset:
    features, targets = examples(schema, N_EXAMPLES)
    if schema.sparse:
        parts = (features.indptr.astype(np.int64), features.indices, features.data)
        features = SparseFeatures(*parts, schema.n_features)
    return Dataset(features, targets, schema, "it", "0")


def ours(config: RunConfig, dataset: Dataset, *, tables: bool) -> tuple[Any, Any]:
    """The module's tensors before and after training, by name."""
    model = build_model(config, dataset.schema)
    layout = Layout.plan(
        model.tensors, n_servers=1, block_numbers=16, table_numbers=1 if tables else None
    )
    store = MemoryParameterStore(layout, build_rule(config), np.float32, fence=1)
    begun = make_initial_values(config, model, layout, dataset.schema)
    store.create(begun.parameters, begun.slots, begun.tables)
    before = everything(store)
    examples = Examples(dataset, Subset(np.arange(N_EXAMPLES), 0, 1, config.seed))
    Replica(model, examples, store, config).run(Token(1, 0, 1), STEPS)
    return before, everything(store)


def everything(store: MemoryParameterStore) -> dict[str, Any]:
    tables, tensors = store.layout.tables, store.layout.tensors
    fetched = store.fetch(rows=[np.arange(table.n_rows) for table in tables])
    vector = joined(tensors, fetched.vector, fetched.tables) if tables else fetched.vector
    return {t.name: values for t, values in zip(tensors, views(vector, tensors), strict=True)}


def theirs(factory: str, first: Any, config: RunConfig, dataset: Dataset) -> Any:
    """Plain torch from the same first values, over the same minibatches."""
    schema, module = dataset.schema, plain(factory)
    values = {name: torch.tensor(values) for name, values in first.items()}
    module.load_state_dict(values, strict=False)  # a tied weight has one name with us
    adagrad = torch.optim.Adagrad(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        lr_decay=config.learning_rate_decay,
        initial_accumulator_value=config.initial_accumulator,
        eps=config.epsilon,
    )
    subset = Subset(np.arange(N_EXAMPLES), 0, 1, config.seed)
    module.train()
    for step in range(STEPS):
        rows = subset.minibatch(step, config.batch_size)
        outputs = module(*plain_inputs(schema, dataset.features[rows]))
        targets = torch.tensor(dataset.targets[rows])
        if schema.n_classes > 2 or outputs.shape[1] == 2:
            loss = torch.nn.CrossEntropyLoss()(outputs, targets)
        elif schema.n_classes == 2:
            loss = torch.nn.BCEWithLogitsLoss()(outputs[:, 0], targets.float())
        else:
            loss = torch.nn.MSELoss()(outputs[:, 0], targets.float())
        adagrad.zero_grad()
        loss.backward()
        adagrad.step()
    return module.state_dict()


def plain_inputs(schema: Schema, features: Any) -> tuple[Any, ...]:
    if not schema.sparse:
        return (torch.tensor(features),)
    if schema.n_fields:
        dense = features.toarray()
        hot = dense[:, schema.n_dense :].reshape(len(dense), schema.n_fields, schema.buckets)
        firsts = schema.buckets * np.arange(schema.n_fields)
        return torch.tensor(dense[:, : schema.n_dense]), torch.tensor(hot.argmax(axis=2) + firsts)
    columns, starts = features.indices.astype("i8"), features.indptr[:-1].astype("i8")
    return torch.tensor(columns), torch.tensor(starts), torch.tensor(features.data)


TRAINED = [
    *((case, False) for case in ("layers", "two_outputs", "normed", "frozen", "Tied")),
    *((case, tables) for case in ("Ids", "Bag", "Fields") for tables in (False, True)),
]


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own Adagrad
@pytest.mark.parametrize(("factory", "tables"), TRAINED)
def test_a_replica_trains_as_plain_torch_does(factory: str, tables: bool) -> None:
    config, dataset = configured(factory), data_for(CASES[factory])
    first, trained = ours(config, dataset, tables=tables)
    expected = theirs(factory, first, config, dataset)
    moved = 0.0
    for name, values in trained.items():
        if "running" not in name:  # those are computed afterwards
            np.testing.assert_allclose(values, expected[name].numpy(), rtol=0, atol=1e-6)
            moved = max(moved, float(np.abs(values - first[name]).max()))
    assert moved > 0.1  # it was trained at all
