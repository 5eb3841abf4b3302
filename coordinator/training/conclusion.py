"""The last words of a training: its model is saved, and everybody is told that it is over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from distbelief.app.errors import (
    ConfigError,
    DataLost,
    ExitCode,
    Fenced,
    ModelError,
    ModelMissing,
    RunTaken,
    ServerError,
    StoreError,
)
from distbelief.app.files import checkpoint
from distbelief.app.models.files import SavedModel
from distbelief.app.models.metrics import Score
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.inference.curves import curves
from distbelief.coordinator.progress.outcome import UNITS
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.runs.driver import Driver
from distbelief.coordinator.runs.removal import retire
from distbelief.coordinator.training.recovery import Ending
from distbelief.coordinator.training.resources import TrainingResources

#: How long a failing run tries to tell the servers that it is over.
LAST_WORDS_S = 1.0


def save(resources: TrainingResources, saved: SavedModel) -> Path:
    """Save the model; where it is to be, or, if that cannot be written, where it can.

    A training of hours is not lost because a disk is full. Raises ModelError.
    """
    elsewhere = Path(tempfile.gettempdir()) / f"{resources.folder.run}.safetensors"
    try:
        saved.save(resources.output)
        return resources.output
    except (ModelError, ConfigError) as error:
        with suppress(ModelError, ConfigError):
            saved.save(elsewhere)
            resources.say(f"{error}: the model is in {elsewhere} instead")
            return elsewhere
        raise


def keep_curves(resources: TrainingResources, saved: SavedModel) -> None:
    """Note how the model does on held-out examples, for reports; the model is saved without it."""
    examples = resources.problem.data.heldout
    if not len(examples):
        return
    try:
        resources.folder.keep_curves(curves(saved, examples))
    except Exception as error:  # noqa: BLE001  (a model of the user's may raise anything)
        resources.say(f"the model is saved, but its curves for a report could not be: {error}")


def taken(resources: TrainingResources, error: RunTaken | Fenced) -> RunTaken:
    if isinstance(error, RunTaken):
        return RunTaken(f"stopped: {error}")
    return RunTaken(f"stopped: run {resources.folder.run} was taken over ({error})")


def conclude(
    resources: TrainingResources,
    ending: Ending,
    seconds: float,
    test: Score | None = None,
    warning: str = "",
    publish: Callable[[], None] = lambda: None,
) -> None:
    """Tell everybody that the run is over; the model is saved, whoever can be told.

    ``publish`` is called for servers that outlive the run.
    """
    state = RunState.STOPPED if ending.resumable else RunState.FINISHED
    outcome: dict[str, Any] = {"reason": ending.reason, "seconds": round(seconds, 1)}
    if ending.terminated:
        outcome["exit_code"] = ExitCode.GO_ON
    if ending.final.heldout is not None:
        kept = ending.final.heldout
        outcome["heldout"] = resources.problem.score_formatter.document(kept.score)
        outcome["kept"] = {
            "evaluation": kept.number,
            UNITS[resources.problem.config.algorithm]: kept.passes,
        }
    if warning:
        outcome["warning"] = warning
    if test is not None:
        outcome["test"] = resources.problem.score_formatter.document(test)
    try:
        _close(resources, state, outcome, publish)
    except Fenced as error:
        raise taken(resources, error) from error
    except (ServerError, ConfigError) as error:
        resources.say(f"the model is saved, but the end of the run could not be noted: {error}")


def give_up(resources: TrainingResources, driver: Driver, error: BaseException) -> None:
    """Shut the workers out and leave the run to be resumed; servers may be what failed."""
    session, folder = resources.session, resources.folder
    session.hurry(LAST_WORDS_S)
    try:
        with suppress(ServerError, DataLost):
            driver.abandon()
    except (RunTaken, Fenced):
        return  # it is somebody else's run by now
    with suppress(ServerError, StoreError, ConfigError):  # the first error is what counts
        code = getattr(error, "exit_code", ExitCode.INTERNAL)
        _close(resources, RunState.FAILED, {"error": str(error), "exit_code": code})
    if last := checkpoint.latest(folder.checkpoints, resources.say):
        resources.say(
            f"the last good checkpoint is {last.path}; to go on from it: "
            + command("resume", folder.run, folder=folder.path.parent)
        )


def _close(
    resources: TrainingResources,
    state: RunState,
    outcome: dict[str, Any],
    publish: Callable[[], None] = lambda: None,
) -> None:
    """Note the end in the journal and the folder, and let the run go."""
    resources.session.note("end", state=state, **outcome)
    resources.folder.conclude({"state": state, **outcome})
    resources.hooks.checkpoints.note_run(resources.folder.file)
    with suppress(ModelMissing):  # a control server that lost the run has nothing to let go
        resources.session.leader.close(state, outcome)
    if not resources.cluster.embedded:  # embedded servers end now
        try:
            publish()
        except DataLost as lost:  # nobody misses it any more: the model is in the folder
            resources.say(f"the model is saved, but not all servers are left with it: {lost}")
        _retire(resources, resumable=state is not RunState.FINISHED)


def _retire(resources: TrainingResources, *, resumable: bool) -> None:
    """Have the run go from its servers when the settings say so."""
    try:
        with suppress(ModelMissing):
            retire(resources.session, resources.cluster.keep_on_servers, resumable=resumable)
    except ServerError as error:
        resources.say(
            f"some of the run stays on its servers ({error}): "
            + command("runs", "--delete", resources.folder.run, folder=resources.folder.path.parent)
            + " removes it"
        )
