"""Whether this worker computes the same as the run's coordinator: checked, not believed."""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.broker.joining import served_control_url
from distbelief.app.client.addresses import ServerAddress, address
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ModelError, WorkerMismatch
from distbelief.app.files.memory import available_memory, size_text
from distbelief.app.layout.keys import shard
from distbelief.app.models import sources
from distbelief.app.models.imports import named_modules
from distbelief.app.models.model import Model
from distbelief.app.models.registry import build_model
from distbelief.app.models.scaling import scaled
from distbelief.app.runs.identity import Identity, other_code, other_modules
from distbelief.app.runs.record import RunRecord
from distbelief.worker_tasks.lease import process_name
from distbelief.worker_tasks.process import is_ours


def named_servers(urls: Sequence[str]) -> tuple[str, ...]:
    """The servers that a run names; one that is the control server, as this worker knows it.

    Only their addresses count, whatever else was written there: options may name code of this
    machine.

    Raises:
        WorkerMismatch: one is not where the control server is. Whoever forges a run would have a
            worker call whom he likes; an operator names others.
    """
    known = served_control_url()
    control = ServerAddress.parse(known)
    for url in urls:
        if not ServerAddress.parse(url).is_beside(control):
            raise WorkerMismatch(
                f"worker {process_name()} calls no {address(url)} because a run says so, for it is "
                "not the control server's machine: name the parameter servers in "
                "DISTBELIEF_PARAMETER_SERVERS there, and restart the worker"
            )
    return tuple(known if each == address(known) else each for each in map(address, urls))


def check_size(record: RunRecord) -> None:
    """Raise ModelError if the run's parameters cannot be in this process at all."""
    need, have = 2 * record.layout.size * record.config.dtype.itemsize, available_memory()
    if need > have:
        raise ModelError(
            f"run {record.run} has {record.layout.size:,} parameters: two copies take "
            f"{size_text(need)}, and {size_text(have)} are left for worker {process_name()}"
        )


def check_code(record: RunRecord) -> None:
    """Raise WorkerMismatch if this process runs other code of ours than the coordinator."""
    if record.identity is not None:
        _refuse(other_code(process_name(), Identity.here(), record.identity))


def build_agreed_model(record: RunRecord) -> Model:
    """Build the run's model from the sources that the coordinator has, with the run's tensors.

    In a worker of ours modules that were imported before they were changed are imported anew;
    another program's modules are its own.

    Raises:
        ModelError: it cannot be imported or built.
        WorkerMismatch: the sources differ, or the tensors do.
    """
    expected, worker = record.identity, process_name()
    if expected is not None and is_ours():
        imported = Identity.here(record.config)
        if sources.differing(imported.modules, expected.modules):
            sources.forget(named_modules(record.config))
    model = build_model(record.config, record.schema)
    if expected is not None:
        _refuse(other_modules(worker, Identity.here(record.config), expected))
    if model.tensors != record.layout.tensors:
        raise WorkerMismatch(
            f"worker {worker} builds {record.config.model} with the tensors "
            f"{_shapes(model.tensors)}, the coordinator with {_shapes(record.layout.tensors)}: "
            "bring the same code and libraries to both, and restart the worker"
        )
    return scaled(model, record.scaling)


def check_order(record: RunRecord, servers: Servers) -> None:
    """Raise WorkerMismatch if a shard's data lie on another of our servers than they should.

    Data that lie nowhere may be lost, which is the coordinator's to find out. A worker that cannot
    reach a server at all says so soon: the tries of a unit together wait for it as others do once.
    """
    count = min(len(servers), record.layout.n_shards)  # shard i lies on server i
    metas = [shard(record.run, index, "meta") for index in range(count)]
    asked = [Command(index, ("EXISTS", key)) for index, key in enumerate(metas)]
    patience_s = record.config.server_seconds / record.config.unit_attempts
    there = servers.call(asked, timeout_s=patience_s)
    for index in (index for index, found in enumerate(there) if not found):
        asked = [Command(server, ("EXISTS", metas[index])) for server in range(len(servers))]
        if any(servers.call(asked)):
            raise WorkerMismatch(
                f"worker {process_name()} has the parameter servers in another order than the "
                f"coordinator, what should be on number {index + 1} is on another one: name them "
                "in the same order in DISTBELIEF_PARAMETER_SERVERS there, and restart the worker"
            )


def _refuse(said: str | None) -> None:
    if said is not None:
        raise WorkerMismatch(said)


def _shapes(tensors: object) -> str:
    assert isinstance(tensors, tuple)
    return ", ".join(f"{each.name} {each.shape}" for each in tensors)
