"""One training from a problem to a saved model: where it runs, and there its course."""

from __future__ import annotations

from contextlib import suppress

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.ids import new_run_id
from distbelief.coordinator.training.surroundings import surroundings


def train(
    problem: Problem,
    cluster: ClusterConfig,
    callbacks: Callbacks,
    local: LocalCluster | None = None,
    run: str | None = None,
) -> Outcome:
    """Train ``problem`` on the servers of ``cluster``, or on embedded ones, and save the model.

    If they are those of ``local``, which goes on, nothing of the run stays on them. ``run`` is
    its id, a new one by default.

    Raises:
        DistBeliefError: see :mod:`distbelief.app.errors`; nothing that was started is left behind.
        KeyboardInterrupt: interrupted before training began, or twice.
    """
    folder = RunFolder.of(cluster, run or new_run_id(problem.config.name))
    try:
        with surroundings(problem, cluster, folder, callbacks.say, local) as around:
            # Now, while an embedded worker imports what it needs itself.
            from distbelief.coordinator.training import course

            return course.begin(problem, cluster, folder, callbacks, around)
    finally:
        with suppress(OSError):  # a run that never began leaves no empty folder
            folder.path.rmdir()


def resume(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    callbacks: Callbacks,
    *,
    take_over: bool,
) -> Outcome:
    """Go on with a run that was stopped, or whose coordinator died; raises like :func:`train`.

    One that died so early that nothing is left of it is begun again.

    Raises:
        RunTaken: its coordinator lives.
        CheckpointError: the servers lost it, and no checkpoint is whole.
    """
    with surroundings(problem, cluster, folder, callbacks.say) as around:
        from distbelief.coordinator.training import course

        return course.go_on(problem, cluster, folder, callbacks, around, take_over=take_over)
