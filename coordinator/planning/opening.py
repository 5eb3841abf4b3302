"""A run that is opened to be measured, as a training opens one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.ids import new_run_id
from distbelief.coordinator.runs.removal import remove
from distbelief.coordinator.training.drivers import DRIVERS
from distbelief.coordinator.training.resources import TrainingResources, open_training
from distbelief.coordinator.training.surroundings import surroundings


@contextmanager
def opened(
    problem: Problem, cluster: ClusterConfig, say: Callable[[str], None], local: LocalCluster | None
) -> Iterator[TrainingResources]:
    """A run that is taken, with its first values on the servers; gone again afterwards."""
    with tempfile.TemporaryDirectory(prefix="distbelief-plan-") as folder:
        here = cluster.model_copy(update={"folder": folder})
        run = RunFolder.of(here, new_run_id())
        with (
            surroundings(problem, here, run, say, local) as around,
            open_training(problem, here, run, Callbacks(say, lambda _: None), around) as resources,
        ):
            try:
                resources.session.take(say=say)
                driver = DRIVERS[problem.config.algorithm]
                driver(resources.session, resources.problem, resources.hooks).create()
                yield resources
            finally:
                remove(resources.session)
