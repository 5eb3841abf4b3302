"""The course of one training, on all that was opened for it: from the first values to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from distbelief.app.datasets.run_data import Selection
from distbelief.app.errors import (
    Fenced,
    RunTaken,
)
from distbelief.app.files import checkpoint
from distbelief.app.layout.keys import PARAMETERS, control
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.files import SavedModel
from distbelief.app.models.metrics import Score
from distbelief.app.runs import leadership
from distbelief.app.runs.damage import understood
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.inference.scoring import score_examples
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.learning import nothing_learned
from distbelief.coordinator.progress.outcome import UNITS, Outcome
from distbelief.coordinator.runs.driver import Driver
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.removal import keep_after_all, remove
from distbelief.coordinator.training.conclusion import (
    conclude,
    give_up,
    keep_curves,
    save,
    taken,
)
from distbelief.coordinator.training.drivers import DRIVERS
from distbelief.coordinator.training.recovery import Ending, train_to_the_end
from distbelief.coordinator.training.resources import (
    TrainingResources,
    describe_run,
    open_training,
)
from distbelief.coordinator.training.surroundings import Surroundings

#: So many training examples say whether something was learned.
LOOKED_AT = 10_000


def begin(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    callbacks: Callbacks,
    around: Surroundings,
) -> Outcome:
    """Begin a run, and train to its end; raises as ``train`` does."""
    with open_training(problem, cluster, folder, callbacks, around) as resources:
        try:
            resources.session.take(say=callbacks.say)
            driver = _driver(resources)
            return _run(resources, driver, driver.create, resumed=False)
        finally:
            if around.lent:
                remove(resources.session)


def go_on(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    callbacks: Callbacks,
    around: Surroundings,
    *,
    take_over: bool,
) -> Outcome:
    """Take a run up where it stands, and train to its end; raises as ``resume`` does.

    Where nothing is left of one that died early, it begins again.
    """
    with open_training(problem, cluster, folder, callbacks, around, resumed=True) as resources:
        session, checkpoints = resources.session, resources.hooks.checkpoints
        # Servers that lost the run, as embedded ones always do, know no fence any more.
        known = (session.highest_fence(), checkpoints.highest_fence())
        seen = leadership.look(session.control, folder.run)
        session.take(least_fence=1 + max(known), take_over=take_over, say=callbacks.say)
        if seen is not None and seen.goes_s is not None:
            keep_after_all(session)
        driver = _driver(resources)

        def load_state() -> None:
            document = leadership.committed(session.control, folder.run)
            if document is None and not checkpoint.names(folder.checkpoints):
                callbacks.say(f"run {folder.run} had come to no checkpoint: it begins again")
                driver.create()
            elif document is None:
                with checkpoint.understood(checkpoints.latest()) as saved:
                    driver.load_state(saved["driver"])
            else:
                with understood(session.control.key(control(folder.run, "state"))):
                    driver.load_state(document)

        return _run(resources, driver, load_state, resumed=True)


def _driver(resources: TrainingResources) -> Driver:
    make = DRIVERS[resources.problem.config.algorithm]
    return make(resources.session, resources.problem, resources.hooks)


def _run(
    resources: TrainingResources, driver: Driver, begin: Callable[[], None], *, resumed: bool
) -> Outcome:
    """Train a run that is ours, from the first values on the shards to the saved model."""
    try:
        describe_run(resources)
        ending = train_to_the_end(resources, driver, begin, resumed=resumed)
        # Before the last words to any server: what is trained must not depend on them.
        saved = _saved_model(resources, ending)
        test = None if ending.resumable else _tested(resources, saved)
        if test is not None:
            facts = {**saved.facts, "test": resources.problem.score_formatter.document(test)}
            saved = replace(saved, facts=facts)
        warning = "" if ending.resumable else _warning(resources, ending, saved)
        model_file = save(resources, saved)
        keep_curves(resources, saved)
    except (RunTaken, Fenced) as error:
        # The run is somebody else's: not one word more to any server.
        raise taken(resources, error) from error
    except BaseException as error:
        give_up(resources, driver, error)
        raise
    # Until then the shards hold what belongs to scaled columns, and the run may be resumed.
    published = saved if saved.scaling is not None and not ending.resumable else None
    publish = _publishing(driver, published)
    conclude(resources, ending, driver.seconds, test, warning, publish)
    return Outcome(
        run=resources.session.record.run,
        reason=ending.reason,
        heldout=ending.final.heldout,
        test=test,
        evaluations=tuple(driver.evaluations.history),
        details=ending.details,
        model_file=model_file,
        checkpoint=ending.checkpoint,
        seconds=driver.seconds,
        folder=resources.folder.path.parent,
        unit=UNITS[resources.problem.config.algorithm],
        warning=warning,
        terminated=ending.terminated,
    )


def _saved_model(resources: TrainingResources, ending: Ending) -> SavedModel:
    """The final model with statistics of its parameters, and facts on how it came about."""
    record, problem, final = resources.session.record, resources.problem, ending.final
    config = record.config
    facts = {"run": record.run, "reason": ending.reason, "config": config.model_dump(mode="json")}
    facts |= {**problem.data.to_remember(), "modules": dict(Identity.here(config).modules)}
    if final.heldout is not None:
        facts["heldout"] = problem.score_formatter.document(final.heldout.score)
    saved = SavedModel(
        config.model_settings(),
        record.schema,
        final.parameters,
        final.slots,
        facts,
        final.tables,
        config.seed,
    )
    source, size = saved.source(), config.batch_size
    dense = recompute_statistics(
        problem.model, saved.parameters, source, problem.dataset, problem.data.train, size
    )
    return replace(saved, parameters=dense).folded(problem.scaling)


def _warning(resources: TrainingResources, ending: Ending, saved: SavedModel) -> str:
    """A sentence if nothing was learned, by held-out examples, or without these by some others."""
    problem, heldout = resources.problem, ending.final.heldout
    if problem.config.negative_rate != 1:  # it answers for other data than these
        return ""
    task = problem.score_formatter.task
    if heldout is not None:
        return nothing_learned(heldout.score, task, heldout=True)
    some = Selection(problem.dataset, problem.data.train[:LOOKED_AT])
    return nothing_learned(score_examples(saved, some), task, heldout=False)


def _publishing(driver: Driver, saved: SavedModel | None) -> Callable[[], None]:
    """What puts a model in place of what the shards hold; nothing without one."""
    if saved is None:
        return lambda: None
    return lambda: driver.publish(saved.parameters, saved.tables.get(PARAMETERS, ()))


def _tested(resources: TrainingResources, saved: SavedModel) -> Score | None:
    """The score on the examples of the test, which nothing else has seen; None without any."""
    examples = resources.problem.data.test
    return score_examples(saved, examples) if len(examples) else None
