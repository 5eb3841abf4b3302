"""Runs of which their control server may know more than their folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from distbelief.app.client.pools import refuses
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerError, ServerUnreachable
from distbelief.app.files import checkpoint
from distbelief.app.runs import events, leadership
from distbelief.app.runs.snapshot import RunState, Snapshot
from distbelief.app.settings.config import configure_cluster
from distbelief.coordinator.progress.program import FOLDER
from distbelief.coordinator.runs import resumption, summary
from distbelief.coordinator.runs.resumption import ANSWER_S, Found
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.snapshot import ProgressSnapshot

#: Events that ``status`` shows: the last so many.
LAST_EVENTS = 5

#: Kinds of events that are told in another form, or too often to be listed.
ROUTINE = {"unit", "iteration", "evaluation", "checkpoint"}


def names(settings: Mapping[str, Any], silent: set[str]) -> set[str]:
    """The runs that the control server of the ``settings`` knows, if they name one.

    Raises:
        ServerUnreachable: it does not answer, and is ``silent`` from now on.
    """
    server = configure_cluster(settings).control_server
    if server is None:
        return set()
    try:
        with closing(Servers([server], deadline_s=ANSWER_S)) as control:
            return set(leadership.runs(control))
    except ServerUnreachable:
        silent.add(server)
        raise


def ask(run: str, settings: Mapping[str, Any], silent: set[str], *, brief: bool) -> Overview:
    """Find a run, and ask its control server how it stands, unless that is known to be silent.

    One that does not answer is ``silent`` from then on. A ``brief`` overview has no events and
    no checkpoints. Raises like :func:`~distbelief.coordinator.runs.resumption.find`.
    """
    with summary.keeping(Path(settings.get("folder", FOLDER)) / run):
        found = resumption.find(run, settings)
    config, ended = found.record.config, dict(found.outcome)
    model_file = found.folder.model_file(found.cluster)
    known = _known(found, silent)
    state = known.state if known is not None else ended.get("state", "dead")
    if known is not None and known.owner is not None and _silent(known, config.lease_seconds):
        state = "dead"
    return Overview(
        run=found.record.run,
        state=str(state),
        algorithm=config.algorithm,
        model=config.model,
        data=config.data,
        coordinator=str(known.owner) if known is not None and known.owner is not None else None,
        snapshot=ProgressSnapshot.from_json(known.status) if known is not None else None,
        outcome=known.outcome if known is not None and known.outcome else ended,
        checkpoints=[] if brief else checkpoint.names(found.folder.checkpoints),
        events=_last_events(found) if known is not None and not brief else [],
        idle_s=known.idle_s if known is not None else None,
        goes_s=known.goes_s if known is not None else None,
        folder=found.folder.path.parent,
        name=config.name,
        note=config.note,
        model_file=model_file if model_file.exists() else None,
    )


def _known(found: Found, silent: set[str]) -> Snapshot | None:
    """The run as its server knows it, None if that does not answer.

    Those in ``silent``, and who refuses at once, are not waited for.
    """
    if found.control in silent or refuses(found.control, ANSWER_S):
        return None
    try:
        return resumption.state_of(found)
    except ServerUnreachable:
        silent.add(found.control)
        return None
    except ServerError:
        return None


def _silent(known: Snapshot, lease_s: float) -> bool:
    return (
        known.state is RunState.RUNNING
        and known.owner is not None
        and (known.owner.silent_s > lease_s)
    )


def _last_events(found: Found) -> list[str]:
    with closing(Servers([found.control], deadline_s=ANSWER_S)) as control:
        told = [each for each in events.read(control, found.record.run) if each[1] not in ROUTINE]
    return [
        f"{time.strftime('%H:%M:%S', time.localtime(at_ms / 1000))} {kind} "
        + " ".join(f"{name}={value}" for name, value in fields.items())
        for at_ms, kind, fields in told[-LAST_EVENTS:]
    ]
