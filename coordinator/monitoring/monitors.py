"""The monitors that a cluster's settings ask for, as callbacks of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks, together
from distbelief.coordinator.runs.folder import RunFolder


@contextmanager
def monitoring(
    cluster: ClusterConfig, problem: Problem, run: str, say: Callable[[str], None]
) -> Iterator[Callbacks]:
    """Callbacks that tell all monitors, as long as this is open.

    Raises:
        ConfigError: the port is taken, the folder cannot be written, or a package is missing.
    """
    with ExitStack() as stack:
        callbacks = []
        if cluster.metrics_port is not None:
            from distbelief.coordinator.monitoring.metrics import serving

            address = (cluster.metrics_address, cluster.metrics_port)
            callbacks.append(stack.enter_context(serving(address, problem, run, say)))
        if cluster.page is not None:
            from distbelief.coordinator.monitoring.live_page import serving_page

            folder = RunFolder.of(cluster, run)
            callbacks.append(stack.enter_context(serving_page(cluster.page, folder, say)))
        if cluster.tensorboard is not None:
            from distbelief.coordinator.monitoring.tensorboard import writing

            callbacks.append(stack.enter_context(writing(cluster.tensorboard, problem, run, say)))
        yield together(*callbacks)
