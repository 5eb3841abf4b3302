"""Training from a program: ``from distbelief import train, LocalCluster``.

Nothing is printed, no signal is touched outside the main thread, and everything that was
started is ended, whatever happens. Several trainings may follow one another, or run in
several threads at once.
"""

from __future__ import annotations

import shutil
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.errors import ConfigError
from distbelief.app.models.imports import allow_imports_of
from distbelief.app.settings.config import ClusterConfig, RunConfig, configure
from distbelief.app.settings.unheeded import unheeded_sentences
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.joined import complete
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.inference.trained_model import TrainedModel
from distbelief.coordinator.problem.handed_over import Data, handed_over, sources
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.callbacks import Callbacks, together
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.result import Result, Timings, result_of
from distbelief.coordinator.training import training

if TYPE_CHECKING:
    from celery import Celery

#: Where a training runs.
Cluster = ClusterConfig | LocalCluster | Endpoints

#: Settings that say what a given cluster already is.
OF_THE_CLUSTER = (
    *("broker", "control", "celery_app", "parameter_servers"),
    *("servers", "processes", "durability"),
)


def train(
    config: RunConfig | None = None,
    *,
    cluster: Cluster | None = None,
    celery: Celery | None = None,
    run: str | None = None,
    data: Data | None = None,
    holdout_data: Data | None = None,
    test_data: Data | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_status: Callable[[Status], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    progress: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Result:
    """Train a model, and wait for the result.

    In the main thread the first Ctrl-C ends the training as ``should_stop`` does, the second
    at once.

    Args:
        config: a :class:`distbelief.RunConfig`; ``settings`` go before it.
        cluster: by default embedded servers and a worker, for this training alone. A
            :class:`distbelief.LocalCluster` goes on afterwards, and nothing of the run stays
            there; a :class:`distbelief.ClusterConfig` names servers of your own.
        celery: a Celery application of your own, which :func:`distbelief.celery.join` has joined:
            its workers train.
        run: a name: the run is begun, or gone on with where it stands, as by ``--run`` on the
            command line, for what restarts programs. Its folder stays. Data are files or addresses.
        data: as on the command line, or (features, targets): numbers of the shape
            (n_examples, n_features), sparse ones of SciPy, or a DataFrame, whose columns mean
            what they would in a CSV file; and numbers or texts. With (features, targets, weights)
            examples count as often as their weights say, and so they do with a column of a file or
            a DataFrame that the data option weight names. Arrays lie in files in the cache folder
            while the training lasts, where workers of this machine read them; others fetch them
            with ``stage_data="control"``.
        holdout_data: held-out examples of their own, likewise.
        test_data: examples that are scored once, at the end, likewise.
        on_event: told each :class:`distbelief.Event`, in this thread; what it raises ends the
            training.
        on_status: told the :class:`distbelief.Status`, several times a second; likewise.
        say: told what the command line would say, a line each, by any thread.
        progress: shows the training as the command line does: on a terminal a panel, in a notebook
            one that is drawn anew, else a line now and then, on standard error.
        should_stop: asked several times a second; once it is true the training ends with a
            checkpoint and the model so far.
        settings: of the run and of where it runs, by the names of the TOML file. Without a
            ``folder`` that of the run is in the cache folder, and goes with the result if the
            training has finished.

    Warns:
        UserWarning: the model is no better than always the same answer; or, before anything
            begins, a setting changes nothing beside the others.

    Raises:
        DistBeliefError: or one of its children, all of which are names of ``distbelief``.
        KeyboardInterrupt: interrupted before training began, or twice.
    """
    callbacks = Callbacks(say, on_status, on_event, should_stop)
    given = {"data": data, "holdout_data": holdout_data, "test_data": test_data}
    if celery is not None:
        from distbelief.app.broker.joining import name_of

        settings["celery_app"] = name_of(celery)
    warn = partial(warnings.warn, stacklevel=3)
    result = trained(config, cluster, given, callbacks, settings, warn, progress=progress, run=run)
    if result.warning:
        warnings.warn(result.warning, stacklevel=2)
    return result


def trained(
    config: RunConfig | None,
    cluster: Cluster | None,
    given: Mapping[str, Data | None],
    callbacks: Callbacks,
    settings: Mapping[str, Any],
    warn: Callable[[str], None],
    *,
    progress: bool = False,
    run: str | None = None,
) -> Result:
    """What :func:`train` gives, without the warning of its end.

    ``given`` are the data by their settings; ``warn`` is told of settings that change nothing.
    """
    began = time.monotonic()
    wanted, where = _configure(config, cluster, {**settings, **sources(given)})
    for sentence in unheeded_sentences(wanted):
        warn(sentence)
    kept = run is not None or "folder" in where.model_fields_set
    if "folder" not in where.model_fields_set:
        where = where.model_copy(update={"folder": str(default_cache_folder() / "runs")})
    allow_imports_of(wanted)
    with handed_over(wanted, given) as wanted:
        n_servers = len(where.parameter_servers) or where.servers
        problem, history, started = prepare(wanted, n_servers), list[Event](), list[float]()
        prepared = time.monotonic()

        def told(event: Event) -> None:
            if event.kind == "start" and not started:
                started.append(time.monotonic())
            history.append(event)
            callbacks.on_event(event)

        local = cluster if isinstance(cluster, LocalCluster) else None
        hearing = replace(callbacks, on_event=told)
        with _shown(problem, hearing) if progress else nullcontext(hearing) as every:
            outcome = _begun_or_gone_on(problem, where, every, local, run)
        model = TrainedModel.load(outcome.model_file)
    start_s, rest_s = started[0] - prepared, time.monotonic() - started[0]
    training_s = min(outcome.seconds, rest_s)
    timings = Timings(prepared - began, start_s, training_s, rest_s - training_s)
    result = result_of(problem, outcome, model, tuple(history), timings)
    if not kept and outcome.checkpoint is None:
        left = Path(where.folder) / outcome.run
        weakref.finalize(result, shutil.rmtree, left, ignore_errors=True)
    return result


def _begun_or_gone_on(
    problem: Problem,
    where: ClusterConfig,
    callbacks: Callbacks,
    local: LocalCluster | None,
    run: str | None,
) -> Outcome:
    """Begin a run, or go on with the one of that name; raises ConfigError if it has finished."""
    if run is None:
        return training.train(problem, where, callbacks, local)
    from distbelief.coordinator.runs import resumption
    from distbelief.coordinator.training import named

    found = named.find(run, where)
    if found is None:
        return training.train(problem, where, callbacks, local, run)
    named.check_same(found.record, problem)
    if resumption.has_finished(found):
        raise ConfigError(
            f"run {run} has finished: its model is {found.folder.model_file(found.cluster)}, which "
            "TrainedModel.load reads"
        )
    return named.go_on(found, callbacks)


@contextmanager
def _shown(problem: Problem, callbacks: Callbacks) -> Iterator[Callbacks]:
    """Those callbacks, and a screen on which the training is drawn."""
    from distbelief.coordinator.views.progress import display
    from distbelief.coordinator.views.terminal import safe_console

    with display(safe_console(stderr=True), problem.score_formatter) as shown:
        yield together(callbacks, shown)


def _configure(
    config: RunConfig | None, cluster: Cluster | None, settings: Mapping[str, Any]
) -> tuple[RunConfig, ClusterConfig]:
    """Put the whole configuration together; raises ConfigError."""
    known = {} if config is None else config.model_dump(exclude_unset=True)
    if isinstance(cluster, ClusterConfig):
        known |= cluster.model_dump(exclude_unset=True)
    elif cluster is not None:
        for name in settings:
            if name in OF_THE_CLUSTER:
                raise ConfigError(f"{name} is not allowed beside a cluster that runs already")
        at = cluster.endpoints if isinstance(cluster, LocalCluster) else cluster
        known |= at.settings()
    known |= settings
    complete(known)
    return configure(known)
