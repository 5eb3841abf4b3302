"""A run as a worker process holds it: record, model, data and store, opened once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from celery.signals import worker_process_init

from distbelief.app.broker.joining import served_control_url
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.run_data import RunData
from distbelief.app.datasets.split.partition import Rows, Subset, in_file_order, portion
from distbelief.app.errors import WorkerMismatch
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.model import Model
from distbelief.app.models.parameters import Source, looked_up, whole
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs.leadership import read_run
from distbelief.app.runs.ledger import Ledger
from distbelief.app.runs.record import RunRecord, Staged
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.environment import workers_parameter_servers
from distbelief.app.store.contract.standings import Standings
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.worker_tasks.agreement import (
    build_agreed_model,
    check_code,
    check_order,
    check_size,
    named_servers,
)
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.data import Fetch, open_here
from distbelief.worker_tasks.lease import process_name
from distbelief.worker_tasks.prescaled import prescaled
from distbelief.worker_tasks.process import is_ours, limit_torch, set_up
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.round_copy import OwnStates
from distbelief.worker_tasks.table_copy import shares_of

#: Runs that a process keeps open: the one it works on, and one that is just starting.
OPEN_RUNS = 2


@dataclass(frozen=True, eq=False)
class RunContext:
    """One run, opened in this process."""

    record: RunRecord
    fence: int
    model: Model
    data: RunData
    servers: Servers

    @property
    def config(self) -> RunConfig:
        return self.record.config

    @cached_property
    def parameters(self) -> RedisParameterStore:
        """The shards as Downpour uses them."""
        record = self.record
        return RedisParameterStore(
            self.servers,
            record.run,
            record.layout,
            shard_rule(record.config),
            self.config.dtype,
            fence=self.fence,
        )

    @cached_property
    def vectors(self) -> RedisVectorStore:
        """The shards as Sandblaster uses them."""
        record = self.record
        return RedisVectorStore(
            self.servers, record.run, record.layout, self.config.dtype, fence=self.fence
        )

    @cached_property
    def penalty(self) -> Vector | None:
        """The L2 factor of each parameter, None without L2."""
        return self.record.layout.penalty(self.config.l2, self.config.dtype)

    def source(self, vector: str, known: Standings) -> Source:
        """The model with the numbers of a named vector, and with statistics for these.

        The shards have them since they stand where they are ``known`` to have stood.
        """
        fetched = self.parameters.fetch(vector, known=known).vector
        dense = recompute_statistics(
            self.model,
            fetched,
            self._source(vector, known, fetched),
            self.data.dataset,
            self.data.train,
            self.config.batch_size,
        )
        return self._source(vector, known, dense)

    def _source(self, vector: str, known: Standings, dense: Vector) -> Source:
        if not self.record.layout.tables:
            return whole(self.model, dense)
        return looked_up(
            self.model,
            dense,
            lambda rows: self.parameters.fetch(vector, rows=rows, known=known).tables,
        )

    def replica(
        self, subset: int, at_work: int | None = None, interval: int | None = None
    ) -> Replica:
        """The replica of a subset, for a unit that was told how many are at work."""
        config, numbering = self.config, self.config.push_interval
        part = Subset(self.data.train, subset, config.n_streams, config.seed)
        examples = Examples(self.data.dataset, part, self._shares)
        if interval:
            config = config.model_copy(update={"n_push": interval, "n_fetch": interval})
        weight = config.n_replicas / at_work if at_work else 1.0
        if at_work:  # so many means are of, and so many pushes a step stands for
            stands_for = max(1.0, OuterSettings.of(config).step_weight / weight)
            config = config.model_copy(update={"step_weight": stands_for})
        states = self._states
        return Replica(self.model, examples, self.parameters, config, states, numbering, weight)

    @cached_property
    def _states(self) -> OwnStates:
        """With rounds, the state of the rule in each stream that this process has worked on."""
        return {}

    @cached_property
    def _shares(self) -> list[Vector]:
        """How often rows of tables occur, for the L2 term."""
        if not self.config.l2 or not self.record.layout.tables:
            return []
        train = in_file_order(self.data.train)
        return shares_of(self.model, self.data.dataset, train, self.record.layout)

    def portion(self, index: int, n_portions: int) -> Iterator[Rows]:
        return portion(self.data.train, index, n_portions)


@lru_cache(maxsize=1)
def control_server() -> Servers:
    """The control server's client of this process."""
    return Servers([served_control_url()])


def ledger(run: str) -> Ledger:
    return Ledger(control_server(), run)


@lru_cache(maxsize=OPEN_RUNS)
def open_context(run: str, fence: int) -> RunContext:
    """Open ``run`` in this process; a new fence may have brought other servers.

    Raises:
        Fenced: the run has ended, or has another fence.
        WorkerMismatch: this process has other code, other data, another model or another order of
            servers.
        ModelError: this worker cannot import or build the model.
        DataError: this worker cannot read the data.
        ConfigError: an address of a server is none.
    """
    record = read_run(control_server(), run, fence)
    check_code(record)
    check_size(record)
    config = record.config
    fits = None if record.fits is None else json.dumps(record.fits.to_json())
    data = _open_data(
        config.model_dump_json(),
        record.fingerprint,
        fits,
        record.staged,
        "" if record.staged is None else run,
    )
    model, data = prescaled(build_agreed_model(record), data, config.dtype)
    limit_torch()
    servers = Servers(
        _parameter_servers(record),
        deadline_s=config.server_seconds,
        engines=record.engines,
        call_ms=config.call_ms / config.callers,
    )
    check_order(record, servers)
    return RunContext(record, fence, model, data, servers)


@lru_cache(maxsize=OPEN_RUNS)
def _open_data(
    settings: str, fingerprint: str, fits: str | None, staged: Staged | None, run: str
) -> RunData:
    """Open the data of a run, once for all its fences: each time may map all of them again.

    Whose run it is matters only if they are ``staged``.
    """
    config = RunConfig.model_validate_json(settings)
    known = None if fits is None else Compatibility.from_json(json.loads(fits))
    fetch = None if staged is None else Fetch(staged, run, control_server())
    data = open_here(config, known, fetch)
    if data.fingerprint != fingerprint:
        raise WorkerMismatch(
            f"the copy of {config.data} on worker {process_name()} differs from the coordinator's: "
            f"fingerprint {data.fingerprint}, expected {fingerprint}. Give both the same file"
        )
    return data


def _parameter_servers(record: RunRecord) -> tuple[str, ...]:
    """The operator's list if there is one (it may hold passwords), else the record's.

    Raises:
        WorkerMismatch: another number of them, or the record's are on other machines.
    """
    ours = workers_parameter_servers()
    if ours and len(ours) != len(record.parameter_servers):
        raise WorkerMismatch(
            f"run {record.run} uses {len(record.parameter_servers)} parameter servers, but "
            f"DISTBELIEF_PARAMETER_SERVERS of worker {process_name()} names {len(ours)}: name "
            "the same there, in the same order"
        )
    return ours or named_servers(record.parameter_servers)


@worker_process_init.connect
def _after_fork(**_: object) -> None:
    """Connections and thread pools do not survive a fork: begin without any."""
    control_server.cache_clear()
    open_context.cache_clear()
    _open_data.cache_clear()
    if is_ours():
        set_up()
