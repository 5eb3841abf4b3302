"""Runs as seen from another terminal: which there are, and how one stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.client.pools import refuses
from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    DistBeliefError,
    ExitCode,
    RunUnknown,
    ServerError,
    ServerUnreachable,
)
from distbelief.app.files import checkpoint
from distbelief.app.models.criterion import Metric
from distbelief.app.runs import events, leadership
from distbelief.app.runs.snapshot import RunState, Snapshot
from distbelief.app.settings.config import configure_cluster
from distbelief.coordinator.progress.program import FOLDER, command
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.ids import began
from distbelief.coordinator.runs.resumption import ANSWER_S, Found
from distbelief.coordinator.views.snapshot import ProgressSnapshot

#: Events that ``status`` shows: the last so many.
LAST_EVENTS = 5

#: Kinds of events that are told in another form, or too often to be listed.
ROUTINE = {"unit", "iteration", "evaluation", "checkpoint"}


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    ``state`` is a :class:`~distbelief.app.runs.snapshot.RunState`, or "dead" where neither
    servers nor an end are known: it can be resumed. ``snapshot`` is what its screens draw,
    None before its coordinator told anything. ``idle_s`` is for how long its servers have not
    heard of it, None if they do not know it, ``goes_s`` when they will remove it, None if never.
    ``folder`` is where runs are.
    ``metric`` and ``score`` are those of the model that was kept, or of the best one so far.
    ``model_file`` is its saved model, None if there is none.
    ``problem`` says why nothing is known of a run whose state is "unreadable".
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
    problem: str = ""
    name: str | None = None
    note: str = ""
    model_file: Path | None = None

    @property
    def began(self) -> float | None:
        """When it began, in seconds since 1970."""
        return began(self.run)

    @property
    def when(self) -> str:
        """When it began, in words; empty if that is not known."""
        at = self.began
        return "" if at is None else time.strftime("%d %b %H:%M", time.localtime(at))

    @property
    def seconds(self) -> float | None:
        """For how long it was trained, as far as is known."""
        if "seconds" in self.outcome:
            return float(self.outcome["seconds"])
        return self.snapshot.seconds if self.snapshot is not None else None

    @property
    def diverged(self) -> bool:
        """Whether its numbers left what can be held: there is no model."""
        return self.outcome.get("exit_code") == ExitCode.DIVERGED

    @property
    def metric(self) -> Metric | None:
        """What decides which of its models is best; None if none was scored."""
        known: list[str] = list(Metric)
        if (kept := self.outcome.get("heldout")) is not None:
            # Older programs did not say it, and noted the figure that decides first.
            told = kept.get("metric", next((name for name in kept if name in known), None))
        else:
            seen = self.snapshot and self.snapshot.heldout
            told = seen.metric if seen else None
        return Metric(told) if told in known else None

    @property
    def score(self) -> float | None:
        """The value of that metric; of a run that diverged none counts."""
        if self.diverged:
            return None
        if (kept := self.outcome.get("heldout")) is not None:
            return kept.get(self.metric) if self.metric is not None else None
        seen = self.snapshot and self.snapshot.heldout
        return seen.best if seen else None

    @property
    def going_on(self) -> str:
        """The command that goes on with it."""
        return command("resume", self.run, folder=self.folder)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "name": self.name,
            "note": self.note,
            "state": self.state,
            "began": self.began,
            "seconds": self.seconds,
            "metric": self.metric,
            "score": self.score,
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
            "model_file": self.model_file and str(self.model_file),
            "problem": self.problem,
        }


def look_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look at one run; raises ConfigError if there is none of that name."""
    return _look(resumption.find(run, settings))


def glance_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look without events and checkpoints, for those who do it every second."""
    return _look(resumption.find(run, settings), brief=True)


def look_at_runs(
    settings: Mapping[str, Any],
    names: Sequence[str] = (),
    *,
    idle_s: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Overview]:
    """Look at runs: those named, or all in the folder and on the control server; oldest first.

    With ``idle_s`` only those that their servers have not heard of for so long.

    One of which something odd was written down is there all the same, with its ``problem``. If
    the control server does not answer, it is ``said``, and those in the folder are there.

    Raises:
        ConfigError: there is none of a name, or it is odd.
        ServerUnreachable: the control server does not answer, and the folder has no runs.
    """
    found, silent = [], set[str]()
    for run in sorted(set(names)) or _names(settings, silent, say):
        try:
            found.append(_look(resumption.find(run, settings), brief=True, silent=silent))
        except RunUnknown:
            if names:
                raise
            continue  # it has just been removed
        except DistBeliefError as error:
            if names:
                raise
            found.append(_unreadable(run, error))
    return [each for each in found if not idle_s or (each.idle_s or 0.0) >= idle_s]


def _unreadable(run: str, error: DistBeliefError) -> Overview:
    shown = run.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return Overview(
        run=shown,
        state="unreadable",
        algorithm="",
        model="",
        data="",
        coordinator=None,
        snapshot=None,
        outcome={},
        checkpoints=[],
        events=[],
        problem=str(error),
    )


def _names(settings: Mapping[str, Any], silent: set[str], say: Callable[[str], None]) -> list[str]:
    cluster = configure_cluster(settings)
    runs = {path.parent.name for path in Path(cluster.folder).glob("*/run.json")}
    if (server := cluster.control_server) is not None:
        try:
            with closing(Servers([server], deadline_s=ANSWER_S)) as control:
                runs.update(leadership.runs(control))
        except ServerUnreachable as error:
            if not runs:
                raise
            silent.add(server)
            say(f"only the runs in {cluster.folder} are shown: {error}")
    return sorted(runs)


def _look(found: Found, *, brief: bool = False, silent: set[str] | None = None) -> Overview:
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


def _known(found: Found, silent: set[str] | None) -> Snapshot | None:
    """The run as its server knows it, None if that does not answer.

    Those in ``silent``, and who refuses at once, are not waited for.
    """
    silent = set() if silent is None else silent
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
