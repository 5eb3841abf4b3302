"""Sandblaster's side of the control plane: the current evaluation, and portions' reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.keys import control
from app.store.servers import Servers

#: Reports taken from the list in one round trip.
MOST_REPORTS = 1000


@dataclass(frozen=True)
class Evaluation:
    """What workers compute: the gradient at vector ``point``, summed into ``gradient``.

    ``number`` grows with each evaluation of a run. ``quantum`` is the step to which
    portions round, see :mod:`worker_tasks.portion`.
    """

    number: int
    fence: int
    point: str
    gradient: str
    portions: int
    quantum: float


@dataclass(frozen=True)
class Report:
    """A portion's answer: its share of the loss, or the error of its worker."""

    evaluation: int
    portion: int
    dispatch: int
    worker: str
    loss: float = 0.0
    largest: float = 0.0
    seconds: float = 0.0
    error: str = ""


def announce(servers: Servers, run: str, evaluation: Evaluation) -> None:
    """Make ``evaluation`` the current one."""
    servers.one("SET", control(run, "evaluation"), json.dumps(asdict(evaluation)))


def current(servers: Servers, run: str) -> Evaluation | None:
    """The evaluation that portions are computed for; None before the first."""
    document = servers.one("GET", control(run, "evaluation"))
    return Evaluation(**json.loads(document)) if document else None


def report(servers: Servers, run: str, answer: Report) -> None:
    """Hand in a report. It may be lost, or arrive twice: the shards know what was counted."""
    servers.one("RPUSH", control(run, "portions"), json.dumps(asdict(answer)))


def collect(servers: Servers, run: str, timeout_s: float) -> Sequence[Report]:
    """The reports that have come, waiting up to ``timeout_s`` for the first."""
    key = control(run, "portions")
    popped = servers.one("BLMPOP", f"{timeout_s:.3f}", 1, key, "LEFT", "COUNT", MOST_REPORTS)
    return [Report(**json.loads(document)) for document in (popped[1] if popped else ())]


def commit(servers: Servers, run: str, state: dict[str, Any]) -> None:
    """Commit an iteration: from now on these are the vectors in force."""
    servers.one("SET", control(run, "state"), json.dumps(state))
