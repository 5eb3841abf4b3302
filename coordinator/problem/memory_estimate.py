"""An estimate of the memory that a training will need on servers and in workers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import Rows
from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.files.memory import available_memory, size_text
from distbelief.app.layout.layout import Layout, Table
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.model import Model, SparseModel
from distbelief.app.optimizers.registry import build_rule, shard_rule
from distbelief.app.settings.config import RunConfig

#: A block needs its bytes, rounded up by the allocator, and its entry in the hash: between
#: 38 and 122 bytes more for blocks of 4 to 256 bytes (Redis 7.0, Valkey 9.1).
ROUNDING, ENTRY_BYTES = 1.25, 64

#: Vectors of parameters at a time: themselves, the best ones, a snapshot that is being
#: evaluated, and copies of the first two that are being written to a checkpoint. Of slots:
#: themselves and the copy for the checkpoint.
PARAMETER_COPIES, SLOT_COPIES = 5, 2

#: Vectors of Sandblaster beside those of its history, at most: points, gradients, directions,
#: snapshots, and those that a checkpoint still reads.
OTHER_VECTORS = 18

#: Of a worker process: Python with its libraries, and so many vectors (measured with a million
#: parameters, as the servers' ``used_memory_peak`` was for the above).
PROCESS_BYTES, DOWNPOUR_VECTORS, SANDBLASTER_VECTORS = 100 << 20, 7, 5


#: Of the coordinator for each number: drawn in float64, and joined to one vector.
BYTES_AT_FIRST = 16


def bytes_text(n_bytes: int) -> str:
    """A number of bytes as a person would say it."""
    unit, name = (2**20, "MiB") if n_bytes >= 2**20 else (2**10, "KiB")
    return f"{n_bytes / unit:,.0f} {name}"


def check_tables(config: RunConfig, tensors: Iterable[TensorSpec]) -> None:
    """Refuse tables in a hybrid, whose L-BFGS has only whole vectors; raises ConfigError."""
    sparse = [each for each in tensors if each.sparse and each.size >= config.table_numbers]
    if config.algorithm == "hybrid" and sparse:
        size = max(each.size for each in sparse)
        raise ConfigError(
            f"algorithm hybrid keeps no tables of rows, and {sparse[0].name} of {config.model} has "
            f"{sparse[0].size:,} sparse numbers: choose downpour or sandblaster, or table_numbers "
            f"above {size} if each push may carry all of them"
        )


def check_rounds(config: RunConfig, tensors: Iterable[TensorSpec]) -> None:
    """Refuse what rounds of tables cannot be; raises ConfigError."""
    sparse = [each for each in tensors if each.sparse and each.size >= config.table_numbers]
    if config.round_steps is None or config.algorithm != "downpour" or not sparse:
        return
    size = max(each.size for each in sparse)
    table = f"{sparse[0].name} of {config.model} has {sparse[0].size:,} sparse numbers"
    remedy = f"or set table_numbers above {size} if each round may carry all of them"
    if config.round_seconds is not None:
        raise ConfigError(
            "round_seconds is not for tables, whose rows are fetched for steps that are known "
            f"before a round begins, and {table}: leave round_seconds out, {remedy}"
        )
    if config.outer_optimizer == "delayed_nesterov" and config.outer_momentum:
        raise ConfigError(
            "outer_optimizer delayed_nesterov is not for tables, of which the push that moves the "
            f"velocity may leave a row out, and {table}: choose nesterov, {remedy}"
        )


def check_room(config: RunConfig, tensors: Iterable[TensorSpec]) -> None:
    """Look whether the numbers that a training begins with can be in this process at all.

    Raises:
        ModelError: they cannot; nothing of that size has been made yet.
    """
    tables = config.algorithm == "downpour"  # whose rows come into being on the servers
    least = config.table_numbers if tables else math.inf
    dense = [each for each in tensors if not (each.sparse and each.size >= least)]
    numbers = sum(each.size for each in dense)
    need, have = numbers * BYTES_AT_FIRST, available_memory()
    if need <= have:
        return
    advice = "make it smaller (hidden, rank, embedding, buckets or features of the data)"
    if any(each.sparse for each in dense):
        way = "lower table_numbers" if tables else "algorithm downpour"
        advice = (
            f"{way} keeps rows as tables, of which only used ones exist, or {advice}; is the "
            "largest index of a feature no mistake?"
        )
    raise ModelError(
        f"the model has {numbers:,} numbers: to draw them takes {size_text(need)} of memory, "
        f"and {size_text(have)} are left here; {advice}"
    )


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a training takes: on all parameter servers together, in a worker process."""

    servers: int
    process: int


@dataclass(frozen=True)
class TableEstimate:
    """Bytes on all servers of a training with tables, its dense part included.

    Args:
        rows: of all tables.
        touched: those that some training example touches; ``numbers`` in these.
        likely: bytes if these come into being.
        most: bytes if all rows do.
    """

    rows: int
    touched: int
    numbers: int
    likely: int
    most: int

    def state_bytes(self, n_slots: int, itemsize: int) -> int:
        """Bytes of a rule's state beside the touched rows, and of where each row's is."""
        return n_slots * self.numbers * itemsize + 4 * self.rows


def estimate_memory(
    config: RunConfig, layout: Layout, tables: TableEstimate | None
) -> MemoryEstimate:
    """The memory of a training; of tables, the rows that occur in its training data count."""
    vector = layout.size * config.dtype.itemsize
    n_slots = len(shard_rule(config).slots)
    # With rounds a process keeps the state of each stream that it has worked on.
    own, streams = len(build_rule(config).slots), config.n_replicas if config.round_steps else 0
    states, kept = own * streams, 0
    if tables is not None:
        kept = streams * tables.state_bytes(own, config.dtype.itemsize)
    states += config.wire != "float32"  # what rounding has taken
    needs = {
        "downpour": (DOWNPOUR_VECTORS + states, PARAMETER_COPIES + SLOT_COPIES * n_slots),
        "sandblaster": (SANDBLASTER_VECTORS, 2 * config.history + OTHER_VECTORS),
    }
    n_vectors, copies = map(max, zip(*(needs[stage] for stage in config.stages), strict=True))
    stored = int(vector * ROUNDING) + layout.n_blocks * ENTRY_BYTES
    servers = copies * stored if tables is None else tables.likely
    return MemoryEstimate(servers, PROCESS_BYTES + n_vectors * vector + kept)


def estimate_tables(
    model: Model,
    dataset: Dataset,
    train: Iterable[Rows],
    layout: Layout,
    itemsize: int,
    n_slots: int,
) -> TableEstimate | None:
    """Count the rows of tables that occur in the training data; None without tables.

    ``train`` gives the rows of the data set a block at a time; they are read once.
    """
    if not layout.tables:
        return None
    seen = [np.zeros(table.n_rows, bool) for table in layout.tables]
    for block in train:
        narrowed = cast("SparseModel", model).narrowed(dataset.features[block])
        for mask, touched in zip(seen, narrowed.rows, strict=True):
            mask[touched] = True
    copies = PARAMETER_COPIES + SLOT_COPIES * n_slots
    dense = layout.size * itemsize
    likely = most = dense
    for table, mask in zip(layout.tables, seen, strict=True):
        blocks = len(np.unique(np.flatnonzero(mask) // table.rows_per_block))
        likely += blocks * block_bytes(table, itemsize)
        most += table.n_blocks * block_bytes(table, itemsize)
    counts = [int(mask.sum()) for mask in seen]
    return TableEstimate(
        rows=sum(table.n_rows for table in layout.tables),
        touched=sum(counts),
        numbers=sum(
            count * table.width for count, table in zip(counts, layout.tables, strict=True)
        ),
        likely=copies * likely,
        most=copies * most,
    )


def block_bytes(table: Table, itemsize: int) -> int:
    """Bytes that a block takes on its server, at most."""
    return int(table.rows_per_block * table.width * itemsize * ROUNDING) + ENTRY_BYTES
