"""One training from settings to a saved model: checks, servers, driver, result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.celery import EVALUATION
from app.config import ClusterConfig
from app.errors import ConfigError, ServerError, StoreError
from app.layout import Vector
from app.models.files import SavedModel
from app.runs.record import RunRecord, close_run, open_run
from coordinator import preflight
from coordinator.downpour import Downpour
from coordinator.driver import Driver, Stage
from coordinator.interruption import Interruption
from coordinator.job import Job
from coordinator.local import Endpoints, LocalCluster
from coordinator.outcome import EndReason, Evaluation, Outcome
from coordinator.sandblaster import Sandblaster
from coordinator.session import Session, new_run_id, open_session, owner
from coordinator.status import Status

#: How long a failing run tries to tell the control server that it is over.
LAST_WORDS_S = 2.0

Check = Callable[[], None]
DRIVERS: dict[str, Callable[[Session, Job, Stage], Driver]] = {
    "downpour": Downpour.on_servers,
    "sandblaster": Sandblaster.on_servers,
}


@dataclass(frozen=True)
class Display:
    """Where a training tells what it does: a line, or the status of the moment."""

    say: Callable[[str], None]
    show: Callable[[Status], None]


def train(job: Job, cluster: ClusterConfig, display: Display) -> Outcome:
    """Train ``job`` on the servers of ``cluster``, or on embedded ones, and save the model.

    Raises:
        DistBeliefError: see :mod:`app.errors`; nothing that was started is left behind.
        KeyboardInterrupt: interrupted before training began, or twice.
    """
    run = new_run_id()
    folder = Path(cluster.folder) / run
    output = _output(cluster, folder)
    try:
        with (
            Interruption() as interruption,
            _place(job, cluster, folder, display) as (place, check),
            closing(open_session(run, job, place)) as session,
        ):
            _preflight(session, cluster)
            display.say(_announcement(session, job))
            stage = Stage(display.show, check, interruption.defer())
            driver = DRIVERS[job.config.algorithm](session, job, stage)
            return _drive(session, job, driver, output)
    finally:
        with suppress(OSError):  # a run that never began leaves no empty folder
            folder.rmdir()


def _drive(session: Session, job: Job, driver: Driver, output: Path) -> Outcome:
    """The training itself, from the first values on the shards to the saved model."""
    record = session.record
    try:
        driver.create()
        open_run(session.control, record)
        session.tell("start", **owner())
        reason = driver.run()
        heldout, parameters, slots = driver.keep()
        # Before the last words to any server: what is trained must not depend on them.
        _saved(record, reason, heldout, parameters, slots).save(output)
    except BaseException as error:
        # So that no worker goes on with it and nothing is left lying; servers may be what failed.
        session.hurry(LAST_WORDS_S)
        with suppress(ServerError, StoreError):
            close_run(session.control, record.run, {"error": str(error)})
        with suppress(ServerError, StoreError):
            driver.abandon()
        raise
    close_run(session.control, record.run, {"reason": reason, "seconds": driver.seconds})
    return Outcome(
        run=record.run,
        reason=reason,
        heldout=heldout,
        evaluations=tuple(driver.evaluations.history),
        details=tuple(driver.summary()),
        model_file=output,
        seconds=driver.seconds,
        unit="passes" if job.plan is not None else "iterations",
    )


def _saved(
    record: RunRecord,
    reason: EndReason,
    heldout: Evaluation | None,
    parameters: Vector,
    slots: dict[str, Vector],
) -> SavedModel:
    config = record.config
    facts = {"run": record.run, "reason": reason, "config": config.model_dump(mode="json")}
    if heldout is not None:
        facts["heldout"] = heldout.score.to_json()
    sizes = (record.n_features, record.n_classes)
    return SavedModel(config.model_settings(), *sizes, parameters, slots, facts)


@contextmanager
def _place(
    job: Job, cluster: ClusterConfig, folder: Path, display: Display
) -> Iterator[tuple[Endpoints, Check]]:
    """Servers that run elsewhere, or embedded ones for as long as the training takes."""
    if cluster.broker is not None:
        yield Endpoints(cluster.broker, cluster.parameter_servers), lambda: None
        return
    processes = cluster.processes or job.config.replicas
    display.say(
        f"starting 1 control server, {cluster.servers} parameter servers and a worker "
        f"with {processes} processes (logs in {folder / 'logs'})"
    )
    with LocalCluster(
        servers=cluster.servers,
        processes=processes,
        folder=_made(folder / "logs"),
        wait_s=cluster.wait_seconds,
    ) as local:
        yield local.endpoints, local.check


def _output(cluster: ClusterConfig, folder: Path) -> Path:
    """The model's file; that it can be written is made sure of before the training."""
    output = Path(cluster.output) if cluster.output else folder / "model.safetensors"
    if output.is_dir():
        raise ConfigError(f"output = {output} is not allowed: it is a folder, name a file")
    _made(output.parent)
    try:
        with tempfile.TemporaryFile(dir=output.parent):
            return output
    except OSError as error:
        raise ConfigError(f"cannot write to {output.parent}: {error.strerror}") from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error
    return folder


def _preflight(session: Session, cluster: ClusterConfig) -> None:
    config = session.config
    for servers in (session.control, session.servers):
        preflight.check_servers(servers, cluster.wait_seconds)
    preflight.check_control(session.control)
    preflight.check_scripts(session.servers, config)
    queues = {config.algorithm, EVALUATION}
    preflight.wait_for_workers(session.messages, queues, cluster.wait_seconds)


def _announcement(session: Session, job: Job) -> str:
    layout, config = job.layout, job.config
    how = (
        f"{config.replicas} replicas, {config.optimizer} with rate {config.learning_rate:g}"
        if job.plan is not None
        else f"L-BFGS with history {config.history} in {config.precision}, {job.portions} portions"
    )
    return (
        f"run {session.record.run}: {config.model} with {layout.size:,} parameters in "
        f"{layout.n_shards} shards on {layout.n_servers} servers, "
        f"{job.n_train:,} training and {job.n_heldout:,} held-out examples of {config.data}, {how}"
    )
