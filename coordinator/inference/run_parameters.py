"""The parameters of a run as a model: finished, in the middle of its training, or stopped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.errors import CheckpointError, ConfigError, DataError, ModelMissing
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs import leadership
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.downpour.checkpoint_state import tables_of
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.resumption import Found

#: The shards of a run of either algorithm.
Store = RedisParameterStore | RedisVectorStore

#: Times that a vector which an optimizer has just replaced is asked for again.
TRIES = 5


@dataclass(frozen=True)
class Parameters:
    """Parameters of a run as a model; ``origin`` says in words where they were found."""

    saved: SavedModel
    origin: str


def find(found: Found, say: Callable[[str], None]) -> Parameters:
    """Find the model of a finished run, what a running one's servers hold, or a checkpoint.

    ``say`` is told what the model file cannot say where the run's data are not here.

    Raises:
        CheckpointError: nothing of the run is left.
        ModelError: its model file was removed or is damaged.
        ServerError, StoreError: the servers of a running one cannot be read.
    """
    known = resumption.state_of(found)
    state = known.state if known is not None else found.folder.outcome().get("state")
    if state == RunState.FINISHED:
        path = found.folder.model_file(found.cluster)
        return Parameters(read_model(path), f"the model of the finished run, {path}")
    if known is not None and known.owner is not None:
        return _complete(found, _read_servers(found), "the servers", say)
    saved = checkpoint.latest(found.folder.checkpoints, say)
    if saved is not None:
        return _complete(
            found, _read_checkpoint(found, saved), f"checkpoint {saved.path.name}", say
        )
    if known is not None:
        return _complete(found, _read_servers(found), "the servers", say)
    raise CheckpointError(
        f"nothing is left of run {found.record.run}: its servers are gone, and there is no "
        f"checkpoint in {found.folder.path}"
    )


def _read_servers(found: Found) -> SavedModel:
    record = found.record
    embedded = found.embedded and found.cluster.embedded
    urls = record.parameter_servers if embedded else found.cluster.parameter_servers
    if len(urls) != record.layout.n_servers:
        raise ConfigError(
            f"run {record.run} uses {record.layout.n_servers} parameter servers, "
            f"{len(urls)} are named: name the same, in order, with --parameter-servers"
        )
    with (
        closing(Servers([found.control], deadline_s=resumption.ANSWER_S)) as control,
        closing(Servers(urls, deadline_s=resumption.ANSWER_S)) as servers,
    ):
        return _model(found, *read_now(control, store_of(servers, record), record))


def store_of(servers: Servers, record: RunRecord) -> Store:
    """The shards of a run, for whoever only reads them."""
    layout, dtype = record.layout, record.config.dtype
    if record.config.algorithm == "downpour":
        rule = shard_rule(record.config)
        return RedisParameterStore(servers, record.run, layout, rule, dtype, fence=0)
    return RedisVectorStore(servers, record.run, layout, dtype, fence=0)


def read_now(control: Servers, store: Store, record: RunRecord) -> tuple[Vector, Tables]:
    """The parameters of a run as its servers hold them at this moment, and the rows of its tables.

    Raises:
        ModelMissing: the servers do not know the run.
    """
    for last in (*[False] * (TRIES - 1), True):
        name = _vector(leadership.committed(control, record.run))
        try:
            vector = store.fetch(name).vector
            return vector, store.touched(name) if record.layout.tables else ()
        except ModelMissing:
            if last:
                raise
    raise AssertionError  # the last try raises


def _read_checkpoint(found: Found, saved: Checkpoint) -> SavedModel:
    with checkpoint.understood(saved) as document:
        name = _vector(document["driver"])
    if name not in saved:
        name = PARAMETERS
    tables = tables_of(found.record.layout, saved, name)
    return _model(found, saved.vector(name), tables)


def _vector(driver: Any) -> str:
    """The point where a Sandblaster run stands; Downpour's parameters have one name."""
    state = (driver or {}).get("state")
    return PARAMETERS if state is None else named(state["point"])


def _model(found: Found, vector: Any, tables: Tables) -> SavedModel:
    record = found.record
    facts: dict[str, Any] = {"run": record.run, "config": record.config.model_dump(mode="json")}
    if record.identity is not None:
        facts["modules"] = dict(record.identity.modules)
    by_name = {PARAMETERS: tables} if tables else {}
    settings, seed = record.config.model_settings(), record.config.seed
    saved = SavedModel(settings, record.schema, vector, {}, facts, by_name, seed)
    return saved.folded(record.scaling)


def _complete(
    found: Found, saved: SavedModel, origin: str, say: Callable[[str], None]
) -> Parameters:
    """Add what only the data can tell: how they were read, and statistics of batch norm."""
    model, config = saved.build(), found.record.config
    try:
        data = _data(found.record)
    except DataError as error:
        if getattr(model, "n_statistics", 0):
            raise
        say(f"the file will not say how the data were read: {error}")
        return Parameters(saved, origin)
    source = saved.source()
    dense = recompute_statistics(
        model, saved.parameters, source, data.dataset, data.train, config.batch_size
    )
    facts = {**saved.facts, **data.to_remember()}
    return Parameters(replace(saved, parameters=dense, facts=facts), origin)


def _data(record: RunRecord) -> RunData:
    data = open_data(record.config, default_cache_folder(), fits=record.fits)
    if data.fingerprint != record.fingerprint:
        raise DataError(f"{record.config.data} has changed since the run began")
    return data
