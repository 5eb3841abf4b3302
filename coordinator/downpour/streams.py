"""How many streams a run has, where workers come and go.

A stream is a subset of the data and the pushes that are made for it. With more streams than
workers there is always another unit for whoever is free: workers that join take one, and those
that leave are missed by nobody. Each unit names its stream, and each push its number there, so
who works on which counts for nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace

from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.settings.config import RunConfig, whole_pushes
from distbelief.app.settings.downpour import FEWEST_REPLICAS
from distbelief.coordinator.problem.problem import Problem

#: Streams that are made for workers to come: each costs a few numbers on every shard.
MOST_STREAMS = 256

#: Minibatches of a pass that a replica has at least: with fewer it has hardly any of the data.
FEWEST_MINIBATCHES = 10


def choose_streams(problem: Problem, processes: int, *, elsewhere: bool) -> Problem:
    """Choose ``replicas`` and ``streams`` where they are ``auto``.

    Args:
        problem: what is trained.
        processes: worker processes that are there.
        elsewhere: whether somebody else starts and ends workers.
    """
    config = problem.config
    if "downpour" not in config.stages or config.replicas != "auto":
        return problem
    given = config.streams
    most = _most_replicas(config, problem.n_train)
    replicas = max(FEWEST_REPLICAS, min(processes, most))
    if given != "auto":
        replicas, streams = min(replicas, given), given
    elif elsewhere and not config.warm_start_steps:
        streams = max(replicas, min(MOST_STREAMS, _units_in_a_pass(config, problem.n_train)))
    else:
        streams = replicas
    chosen = config.model_copy(update={"replicas": replicas, "streams": streams})
    if chosen.round_steps is None:
        return replace(problem, config=chosen)
    outer = OuterSettings.of(chosen).to_json()
    found = tuple(name for name in outer if getattr(config, name) is None)
    return replace(problem, config=chosen.model_copy(update=outer), chosen=found)


def _most_replicas(config: RunConfig, n_train: int) -> int:
    minibatches = n_train / config.batch_size
    most = int(minibatches // FEWEST_MINIBATCHES)
    if config.warm_start_steps:  # all of which one of them takes
        most = min(most, int(minibatches * config.n_passes // config.warm_start_steps))
    return most


def _units_in_a_pass(config: RunConfig, n_train: int) -> int:
    steps = whole_pushes(config.unit_steps, config.round_steps or 1)
    return math.ceil(n_train / config.batch_size) // steps
