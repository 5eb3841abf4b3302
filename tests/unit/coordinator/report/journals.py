"""Run folders written by hand: what a coordinator would have left there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.journal import Journal

BEGAN = 1_000_000.0  # seconds since 1970
N_TRAIN = 100


def folder_of(
    path: Path, *events: Event, outcome: dict[str, Any] | None = None, **settings: Any
) -> Path:
    """A folder with that configuration, those events and that end."""
    folder = RunFolder(path)
    record = {"config": RunConfig(**settings).model_dump(mode="json")}
    place = {"embedded": True, "broker": "unix:///gone", "parameter_servers": []}
    folder.describe(record, ClusterConfig(), place)
    folder.conclude(outcome or {})
    journal = Journal(folder.journal, print)
    for event in events:
        journal.append(event)
    return path


def at(after: float, kind: str, /, **fields: Any) -> Event:
    return Event(BEGAN + after, kind, fields)


def environment(seconds: float = 0.0, /, **fields: Any) -> Event:
    known = {
        "host": "here",
        "cores": 2,
        "platform": "Linux",
        "python": "3.12.0",
        "packages": {"numpy": "2.1.0"},
        "control_server": {"address": "control:6379", "version": "Valkey 9.0.0"},
        "parameter_servers": [
            {"address": "ps:6379", "version": "Valkey 9.0.0", "engine": "lua", "why": "no module"}
        ],
        "parameters": 1234,
        "training_examples": N_TRAIN,
        "heldout_examples": 20,
        "portions": None,
    }
    return at(seconds, "surroundings", **(known | fields))


def start(seconds: float = 0.0, told: float = 0.0, fence: int = 1) -> Event:
    return at(seconds, "start", fence=fence, training_s=told)


def unit(seconds: float, told: float, /, **fields: Any) -> Event:
    known = {
        "unit": "downpour-0-10",
        "worker": "1@here",
        "attempt": 1,
        "passes": told,
        "training_s": told,
        "steps": 10,
        "examples": 50,
        "loss_sum": 25.0,
        "seconds": 1.0,
        "pushes": 5,
        "refused": 0,
        "staleness": {"0": 3, "2": 2},
        "reached": 10,
        "waited_s": 0.0,
    }
    return at(seconds, "unit", **(known | fields))


def evaluation(
    seconds: float, passes: float, /, number: int = 1, **measures: float | None
) -> Event:
    known: dict[str, float | None] = {"accuracy": 0.5, "loss": 0.7}
    return at(
        seconds,
        "evaluation",
        number=number,
        passes=passes,
        seconds=seconds,
        measures=known | measures,
    )


def iteration(seconds: float, number: int, evaluations: int = 1) -> Event:
    return at(
        seconds,
        "iteration",
        iteration=number,
        loss=1.0 / (number + 1),
        gradient_norm=0.1 / (number + 1),
        step=1.0 if number else 0.0,
        evaluations=evaluations,
        training_s=seconds,
    )


def portions(seconds: float, number: int, *dispatches: list[Any], took: float = 1.0) -> Event:
    workers = ["1@here", "2@here"]
    return at(
        seconds,
        "portions",
        evaluation=number,
        seconds=took,
        workers=workers,
        dispatches=list(dispatches),
    )


def downpour(path: Path, **settings: Any) -> Path:
    """A short run that was killed once, and had a unit sent again."""
    return folder_of(
        path,
        environment(),
        start(0.1, 0.1),
        unit(2.0, 2.0),
        evaluation(2.5, 2.0),
        at(3.0, "resent", unit="downpour-1-10", attempt=2, worker="2@here"),
        unit(3.5, 3.5, worker="2@here"),
        at(4.0, "lost", what="shard 0 is gone"),
        environment(101.0),
        start(102.0, 3.0, fence=3),
        unit(104.0, 5.0, worker="3@here"),
        evaluation(5.0, 5.0, accuracy=0.75),
        at(105.0, "end", state="finished", reason="all passes done"),
        outcome={"state": "finished", "reason": "all passes done", "seconds": 6.0},
        **settings,
    )


def hybrid(path: Path, **settings: Any) -> Path:
    """A short run of two passes, and of two iterations after them."""
    why = "the loss hardly falls any more"
    return folder_of(
        path,
        environment(),
        start(),
        unit(2.0, 1.0),
        unit(3.0, 2.0),
        evaluation(3.0, 2.0),
        at(3.5, "handover", training_s=3.5, passes=2.0, steps=20, why=why, left=["slot:adagrad"]),
        iteration(4.0, 0),
        iteration(5.0, 1, evaluations=2),
        evaluation(5.0, 3.0),
        iteration(6.0, 2),
        at(6.5, "end", state="finished", reason="iterations used up before it converged"),
        outcome={"state": "finished", "seconds": 6.0},
        **{"algorithm": "hybrid", **settings},
    )


def sandblaster(path: Path, **settings: Any) -> Path:
    """A short run in whose second evaluation a worker hung, and a backup won."""
    return folder_of(
        path,
        environment(portions=2),
        start(0.1, 0.1),
        portions(1.0, 1, [0, 0, 0, 0.0, 0.1, 0.5, "won"], [1, 0, 1, 0.0, 0.1, 1.0, "won"]),
        iteration(1.0, 0),
        portions(
            4.0,
            2,
            [0, 0, 0, 0.0, 0.1, 0.5, "won"],
            [1, 0, -1, 0.0, None, None, "unanswered"],
            [1, 1, 0, 1.0, 1.1, 2.0, "won"],
            took=2.0,
        ),
        iteration(4.0, 1, evaluations=2),
        evaluation(4.1, 1.0),
        outcome={"state": "failed", "error": "no <b>worker</b>"},
        algorithm="sandblaster",
        **settings,
    )
