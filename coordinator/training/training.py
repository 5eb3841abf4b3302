"""One training from settings to a saved model: checks, servers, driver, result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distbelief.app.errors import (
    ConfigError,
    ExitCode,
    Fenced,
    ModelMissing,
    RunTaken,
    ServerError,
    StoreError,
)
from distbelief.app.files import checkpoint
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.files import SavedModel
from distbelief.app.runs import leadership
from distbelief.app.runs.leadership import RunState
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import EndReason, Outcome
from distbelief.coordinator.progress.program import program
from distbelief.coordinator.runs.driver import Driver, DriverHooks, FinalState
from distbelief.coordinator.runs.environment import environment
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.removal import remove
from distbelief.coordinator.runs.session import Session, new_run_id
from distbelief.coordinator.sandblaster.driver import Sandblaster
from distbelief.coordinator.training.resources import Training, opened

#: How long a failing run tries to tell the servers that it is over.
LAST_WORDS_S = 1.0

#: Times in a row that lost data are restored without a new checkpoint in between.
MOST_LOSSES = 5

DRIVERS: dict[str, Callable[[Session, Problem, DriverHooks], Driver]] = {
    "downpour": Downpour.on_servers,
    "sandblaster": Sandblaster.on_servers,
}


@dataclass(frozen=True)
class _Result:
    """Of a training: all that is written down of it, read from the shards."""

    reason: EndReason
    kept: FinalState
    details: tuple[str, ...]
    checkpoint: Path | None

    @property
    def resumable(self) -> bool:
        return self.reason is EndReason.INTERRUPTED


def train(
    problem: Problem, cluster: ClusterConfig, display: Callbacks, local: LocalCluster | None = None
) -> Outcome:
    """Train ``problem`` on the servers of ``cluster``, or on embedded ones, and save the model.

    If they are those of ``local``, which goes on, nothing of the run stays on them.

    Raises:
        DistBeliefError: see :mod:`distbelief.app.errors`; nothing that was started is left behind.
        KeyboardInterrupt: interrupted before training began, or twice.
    """
    folder = RunFolder.of(cluster, new_run_id())
    try:
        with opened(problem, cluster, folder, display, local) as training:
            try:
                training.session.take(say=display.say)
                driver = _driver(training)
                return _drive(training, driver, driver.create, resumed=False)
            finally:
                if local is not None:
                    remove(training.session)
    finally:
        with suppress(OSError):  # a run that never began leaves no empty folder
            folder.path.rmdir()


def resume(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    display: Callbacks,
    *,
    take_over: bool,
) -> Outcome:
    """Go on with a run that was stopped, or whose coordinator died; raises like :func:`train`.

    Raises:
        RunTaken: its coordinator lives.
        CheckpointError: the servers lost it, and there is no checkpoint.
    """
    with opened(problem, cluster, folder, display) as training:
        session = training.session
        # Servers that lost the run, as embedded ones always do, know no fence any more.
        known = (session.highest_fence(), training.hooks.checkpoints.highest_fence())
        session.take(least_fence=1 + max(known), take_over=take_over, say=display.say)
        driver = _driver(training)

        def begin() -> None:
            document = leadership.committed(session.control, folder.run)
            if document is None and checkpoint.names(folder.checkpoints):
                document = training.hooks.checkpoints.latest().document["driver"]
            if document is not None:
                driver.load_state(document)

        return _drive(training, driver, begin, resumed=True)


def _driver(training: Training) -> Driver:
    make = DRIVERS[training.problem.config.algorithm]
    return make(training.session, training.problem, training.hooks)


def _drive(
    training: Training, driver: Driver, begin: Callable[[], None], *, resumed: bool
) -> Outcome:
    """The training itself, from the first values on the shards to the saved model."""
    record = training.session.record
    try:
        _describe(training)
        result = _train(training, driver, begin, resumed=resumed)
        # Before the last words to any server: what is trained must not depend on them.
        _saved(training, result).save(training.output)
    except (RunTaken, Fenced) as error:
        # The run is somebody else's: not one word more to any server.
        raise RunTaken(f"stopped: {error}") from error
    except BaseException as error:
        _give_up(training, driver, error)
        raise
    _conclude(training, result, driver.seconds)
    return Outcome(
        run=record.run,
        reason=result.reason,
        heldout=result.kept.heldout,
        evaluations=tuple(driver.evaluations.history),
        details=result.details,
        model_file=training.output,
        checkpoint=result.checkpoint,
        seconds=driver.seconds,
        unit="passes" if training.problem.plan is not None else "iterations",
    )


def _describe(training: Training) -> None:
    """Write down what resuming needs, and in the journal what a report wants to know."""
    session = training.session
    place = {
        "embedded": training.cluster.broker is None,
        "broker": session.control.addresses[0],
        "parameter_servers": session.servers.addresses,
    }
    training.folder.describe(session.record.to_json(), training.cluster, place)
    session.note(
        "surroundings",
        **environment(session.control, session.servers),
        parameters=training.problem.n_parameters,
        training_examples=training.problem.n_train,
        heldout_examples=training.problem.n_heldout,
        portions=training.problem.portions,
    )


def _conclude(training: Training, result: _Result, seconds: float) -> None:
    """Tell everybody that the run is over; the model is saved, whoever can be told."""
    state = RunState.STOPPED if result.resumable else RunState.FINISHED
    outcome: dict[str, Any] = {"reason": result.reason, "seconds": round(seconds, 1)}
    if result.kept.heldout is not None:
        outcome["heldout"] = training.problem.score_formatter.document(result.kept.heldout.score)
    try:
        _close(training, state, outcome)
    except Fenced as error:
        raise RunTaken(f"stopped: {error}") from error
    except (ServerError, ConfigError) as error:
        training.say(f"the model is saved, but the end of the run could not be noted: {error}")


def _close(training: Training, state: RunState, outcome: dict[str, Any]) -> None:
    training.session.note("end", state=state, **outcome)
    training.folder.conclude({"state": state, **outcome})
    with suppress(ModelMissing):  # a control server that lost the run has nothing to let go
        training.session.leader.close(state, outcome)


def _give_up(training: Training, driver: Driver, error: BaseException) -> None:
    """Shut the workers out and leave the run to be resumed; servers may be what failed."""
    session, folder = training.session, training.folder
    session.hurry(LAST_WORDS_S)
    try:
        with suppress(ServerError, ModelMissing):
            driver.abandon()
    except (RunTaken, Fenced):
        return  # it is somebody else's run by now
    with suppress(ServerError, StoreError, ConfigError):  # the first error is what counts
        code = getattr(error, "exit_code", ExitCode.INTERNAL)
        _close(training, RunState.FAILED, {"error": str(error), "exit_code": code})
    names = checkpoint.names(folder.checkpoints)
    if names:
        training.say(
            f"the last good checkpoint is {folder.checkpoints / names[-1]}; to go on from it: "
            f"{program()} resume {folder.run}"
        )


def _train(
    training: Training, driver: Driver, begin: Callable[[], None], *, resumed: bool
) -> _Result:
    """Train; take the run up again when a server lost its data, be it before anything else.

    ``begin`` comes once more if that happens before there is a checkpoint of this process.
    """
    checkpoints, session, losses = training.hooks.checkpoints, training.session, 0
    begun, written = False, checkpoints.written
    loss: ModelMissing | None = None
    while True:
        try:
            if loss is not None:
                _renew(training, loss)
            if not begun:
                begin()
            if resumed or loss is not None:
                _take_up(training, driver)
            if not begun:
                begun = checkpoints.write(session.fence, driver.capture) is not None
                session.tell("start", fence=session.fence, training_s=driver.seconds)
            return _result(training, driver, driver.run())
        except ModelMissing as error:
            losses, loss = losses + 1 if checkpoints.written == written else 1, error
            written = checkpoints.written
            if losses > MOST_LOSSES:
                raise


def _result(training: Training, driver: Driver, reason: EndReason) -> _Result:
    """Read what the shards hold; raises ModelMissing if a server lost it."""
    checkpoints, resumable = training.hooks.checkpoints, reason is EndReason.INTERRUPTED
    checkpoints.settle()  # what it reads on the servers may go then
    fence = training.session.fence
    last = checkpoints.write(fence, driver.capture) if resumable else None
    details = tuple(driver.summary())
    return _Result(reason, driver.keep(resumable=resumable), details, last)


def _renew(training: Training, loss: ModelMissing) -> None:
    """Shut out everybody who does not know of the loss."""
    with suppress(ServerError, StoreError):  # what it read may be what was lost
        training.hooks.checkpoints.settle()
    # It may seem lost because the run was taken over: then this raises, and nothing is said.
    training.session.renew()
    training.say(f"data lost: {loss}")
    training.session.tell("lost", what=str(loss))


def _take_up(training: Training, driver: Driver) -> None:
    for line in driver.restore(training.hooks.checkpoints.latest):
        training.say(line)
        training.session.tell("restored", what=line)
    training.say(f"taken up under fence {training.session.fence}")


def _saved(training: Training, result: _Result) -> SavedModel:
    record, problem = training.session.record, training.problem
    config = record.config
    facts = {"run": record.run, "reason": result.reason, "config": config.model_dump(mode="json")}
    facts["reading"] = dict(problem.dataset.facts.reading)
    kept = result.kept
    if kept.heldout is not None:
        facts["heldout"] = problem.score_formatter.document(kept.heldout.score)
    saved = SavedModel(
        config.model_settings(),
        record.schema,
        kept.parameters,
        kept.slots,
        facts,
        kept.tables,
        config.seed,
    )
    source, size = saved.source(), config.batch_size
    dense = recompute_statistics(
        problem.model, saved.parameters, source, problem.dataset, problem.data.train, size
    )
    return replace(saved, parameters=dense)
