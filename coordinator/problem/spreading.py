"""Shards on the nodes of a cluster: so many that chance gives each node its part."""

from __future__ import annotations

from dataclasses import replace

from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.coordinator.problem.problem import Problem

#: Where a shard lies follows from its name: with so many for each node, the fullest has about a
#: third more than its part.
SHARDS_PER_NODE = 6


def spread(problem: Problem, servers: Servers) -> Problem:
    """Cut the parameters into more shards where a server is a cluster of several nodes."""
    config, layout = problem.config, problem.layout
    nodes = max(len(servers.parts(index)) for index in range(len(servers)))
    if nodes == 1 or config.shards is not None:
        return problem
    shards = SHARDS_PER_NODE * nodes
    spread_out = Layout.plan(
        layout.tensors,
        n_servers=layout.n_servers,
        block_numbers=config.block_numbers,
        table_numbers=config.table_numbers if layout.tables else None,
        shard_numbers=min(MAX_SHARD_NUMBERS, layout.shard_slice(0).stop),
        table_shards=max(layout.n_table_shards // layout.n_servers, shards),
        dense_shards=shards,
        seed=config.seed,
    )
    return replace(problem, layout=spread_out)
