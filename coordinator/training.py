"""One training from settings to a saved model: checks, servers, driver, result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import ClusterConfig
from app.errors import ConfigError
from app.keys import PARAMETERS, slot
from app.models.files import SavedModel
from app.runs.record import FIRST_FENCE, close_run, open_run
from coordinator import preflight
from coordinator.downpour import Downpour
from coordinator.evaluations import BEST
from coordinator.interruption import Interruption
from coordinator.job import Job
from coordinator.local import Endpoints, LocalCluster
from coordinator.outcome import EndReason, Outcome
from coordinator.session import Session, new_run_id, open_session, owner
from coordinator.status import Status

Check = Callable[[], None]


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
    with Interruption() as interruption, _place(job, cluster, folder, display) as (place, check):
        session = open_session(run, job, place)
        _preflight(session, cluster)
        display.say(_announcement(session, job))
        session.store.create(FIRST_FENCE, job.parameters, job.slots)
        open_run(session.control, session.record)
        session.tell("start", **owner())
        driver = Downpour(
            session, job.plan, show=display.show, check=check, interrupted=interruption.defer()
        )
        try:
            reason = driver.run()
            saved = _result(session, driver, reason)
        finally:
            close_run(session.control, run, {"steps": driver.steps, "seconds": driver.seconds})
        saved.save(output)
        return Outcome(
            run=run,
            reason=reason,
            best=driver.evaluations.best,
            evaluations=tuple(driver.evaluations.history),
            counts=tuple(session.store.counts()),
            planned_pushes=job.plan.total_pushes,
            model_file=output,
            seconds=driver.seconds,
            steps=driver.steps,
        )


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
    return output


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error
    return folder


def _preflight(session: Session, cluster: ClusterConfig) -> None:
    for servers in (session.control, session.servers):
        preflight.check_servers(servers, cluster.wait_seconds)
    preflight.check_control(session.control)
    preflight.check_scripts(session.servers, session.store.rule)
    preflight.wait_for_workers(cluster.wait_seconds, session.control.addresses[0])


def _announcement(session: Session, job: Job) -> str:
    layout, config = session.store.layout, job.config
    return (
        f"run {session.record.run}: {config.model} with {layout.size:,} parameters in "
        f"{layout.n_shards} shards on {layout.n_servers} servers, "
        f"{job.dataset.n_examples - job.n_heldout:,} training and {job.n_heldout:,} held-out "
        f"examples of {config.data}, {config.replicas} replicas, {config.optimizer} "
        f"with rate {config.learning_rate:g}"
    )


def _result(session: Session, driver: Downpour, reason: EndReason) -> SavedModel:
    """The best model, which also becomes what the servers hold; the last one if none is best."""
    store, record, best = session.store, session.record, driver.evaluations.best
    if best is not None:
        store.copy(BEST, PARAMETERS)
        store.drop(BEST)
    facts: dict[str, Any] = {
        "run": record.run,
        "reason": reason,
        "config": record.config.model_dump(mode="json"),
        "heldout": best.score.to_json() if best is not None else None,
    }
    return SavedModel(
        settings=record.config.model_settings(),
        n_features=record.n_features,
        n_classes=record.n_classes,
        parameters=store.fetch().vector,
        slots={name: store.fetch(slot(name)).vector for name in store.rule.slots},
        facts=facts,
    )
