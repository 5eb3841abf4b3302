"""The size of shards on servers that others use: a push must not keep them waiting for long.

Chosen once, before the training, from what a push costs on these very servers; a resumed run
keeps its shards. Only Lua is slow enough for it to matter.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.layout import (
    BLOCK_NUMBERS,
    MAX_SHARD_NUMBERS,
    TABLE_SHARDS_PER_SERVER,
    Layout,
)
from distbelief.app.models.model import SparseModel
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.redis.costs import COSTS
from distbelief.coordinator.downpour.intervals import measure_push_s
from distbelief.coordinator.problem.problem import Problem

#: Each is a call more for every push and fetch.
MOST_TABLE_SHARDS = 64

#: Numbers of the two pushes whose difference is what numbers cost, without the way there.
SMALL, LARGE = BLOCK_NUMBERS, 4 * BLOCK_NUMBERS


def fit_shards(problem: Problem, servers: Servers) -> Problem:
    """Cut the parameters into shards that ``call_ms`` allows, where Lua computes.

    ``n_push`` is chosen already. Raises the ServerError family if a server cannot be used.
    """
    config, layout = problem.config, problem.layout
    slow = [index for index, engine in enumerate(servers.engines) if engine is Engine.LUA]
    if not slow or config.shards is not None:
        return problem
    largest, numbers = layout.shard_slice(0), MAX_SHARD_NUMBERS
    if largest.stop - largest.start > BLOCK_NUMBERS:
        cost_ns = max(measure_cost_ns(config, servers.only(index)) for index in slow)
        numbers = shard_numbers(config.call_ms, config.callers, cost_ns)
    fitted = Layout.plan(
        layout.tensors,
        n_servers=layout.n_servers,
        block_numbers=config.block_numbers,
        table_numbers=config.table_numbers if layout.tables else None,
        shard_numbers=numbers,
        table_shards=_table_shards(problem),
        seed=config.seed,
    )
    return replace(problem, layout=fitted)


def _table_shards(problem: Problem) -> int:
    """Shards of tables on each server, so that each gets few enough rows of a push."""
    config, layout = problem.config, problem.layout
    if not layout.tables:
        return TABLE_SHARDS_PER_SERVER
    subset = Subset(problem.data.train, 0, config.n_streams, config.seed)
    steps = range(config.push_interval)
    examples = [subset.minibatch(step, config.batch_size) for step in steps]
    features = problem.dataset.features[np.concatenate(examples)]
    touched = sum(map(len, cast("SparseModel", problem.model).narrowed(features).rows))
    held_ns = COSTS[Engine.LUA].row * touched / layout.n_servers
    wanted = math.ceil(held_ns * config.callers / (config.call_ms * 1e6))
    return min(MOST_TABLE_SHARDS, max(TABLE_SHARDS_PER_SERVER, wanted))


def shard_numbers(call_ms: float, callers: int, cost_ns: float) -> int:
    """The most numbers of a shard: all callers at once may take ``call_ms`` of a server."""
    return min(MAX_SHARD_NUMBERS, max(1, int(call_ms * 1e6 / callers / cost_ns)))


def measure_cost_ns(config: RunConfig, servers: Servers) -> float:
    """Nanoseconds for each number of a call with a gradient; never less than is known of Lua."""
    costs = COSTS[Engine.LUA]
    if "downpour" not in config.stages:
        return costs.unpack + costs.writing(1)  # it adds a portion to the sum
    small, large = (measure_push_s(config, servers, numbers) for numbers in (SMALL, LARGE))
    return max(costs.unpack, 1e9 * (large - small) / (LARGE - SMALL))
