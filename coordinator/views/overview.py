"""Runs as seen from another terminal: which there are, and how one stands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ConfigError, ServerError
from distbelief.app.files import checkpoint
from distbelief.app.runs import events, leadership
from distbelief.app.runs.leadership import RunState, Snapshot
from distbelief.app.settings.config import configure
from distbelief.coordinator.progress.program import FOLDER, command
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.resumption import ANSWER_S, Found
from distbelief.coordinator.views.snapshot import ProgressSnapshot

#: Events that ``status`` shows: the last so many.
LAST_EVENTS = 5

#: Kinds of events that are told in another form, or too often to be listed.
ROUTINE = {"unit", "iteration", "evaluation", "checkpoint"}


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    ``state`` is a :class:`~distbelief.app.runs.leadership.RunState`, or "dead" where neither
    servers nor an end are known: it can be resumed. ``snapshot`` is what its screens draw,
    None before its coordinator told anything. ``idle_s`` is for how long its servers have not
    heard of it, None if they do not know it, ``goes_s`` when they will remove it, None if never.
    ``folder`` is where runs are.
    """

    run: str
    state: str
    algorithm: str
    model: str
    data: str
    coordinator: str | None
    snapshot: ProgressSnapshot | None
    outcome: dict[str, Any]
    checkpoints: list[str]
    events: list[str]
    idle_s: float | None = None
    goes_s: float | None = None
    folder: Path = Path(FOLDER)

    @property
    def going_on(self) -> str:
        """The command that goes on with it."""
        return command("resume", self.run, folder=self.folder)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "state": self.state,
            "algorithm": self.algorithm,
            "model": self.model,
            "data": self.data,
            "coordinator": self.coordinator,
            "moment": None if self.snapshot is None else self.snapshot.to_json(),
            "outcome": self.outcome,
            "checkpoints": self.checkpoints,
            "events": self.events,
            "idle_s": self.idle_s,
            "goes_s": self.goes_s,
        }


def look_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look at one run; raises ConfigError if there is none of that name."""
    return _look(resumption.find(run, settings))


def glance_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look without events and checkpoints, for those who do it every second."""
    return _look(resumption.find(run, settings), brief=True)


def look_at_runs(
    settings: Mapping[str, Any], names: Sequence[str] = (), *, idle_s: float = 0.0
) -> list[Overview]:
    """Look at runs: those named, or all in the folder and on the control server; oldest first.

    With ``idle_s`` only those that their servers have not heard of for so long.

    Raises:
        ConfigError: there is none of a name.
    """
    found = []
    for run in sorted(set(names)) or _names(settings):
        try:
            found.append(glance_at_run(run, settings))
        except ConfigError:
            if names:
                raise
            continue  # of another version, or it has just been removed
    return [each for each in found if not idle_s or (each.idle_s or 0.0) >= idle_s]


def _names(settings: Mapping[str, Any]) -> list[str]:
    cluster = configure(settings)[1]
    runs = {path.parent.name for path in Path(cluster.folder).glob("*/run.json")}
    if cluster.broker is not None:
        with closing(Servers([cluster.broker], deadline_s=ANSWER_S)) as control:
            runs.update(leadership.runs(control))
    return sorted(runs)


def _look(found: Found, *, brief: bool = False) -> Overview:
    config, ended = found.record.config, found.folder.outcome()
    try:
        known = resumption.state_of(found)
    except ServerError:
        known = None
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
    )


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
