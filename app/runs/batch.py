"""Sandblaster's side of the control plane: the current evaluation, and portions' reports."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control
from distbelief.app.runs.damage import understood
from distbelief.app.runs.record import KEEP_S

log = logging.getLogger(__name__)

#: Reports taken from the list in one round trip.
MOST_REPORTS = 1000


@dataclass(frozen=True)
class BatchEvaluation:
    """One evaluation of the batch: the gradient at vector ``point``, summed into ``gradient``.

    ``fence`` is the coordinator's, ``number`` grows with each evaluation of a run.
    ``quantum`` is the step to which portions round, see :mod:`distbelief.worker_tasks.portion`.
    ``known`` is where the shards stand since they have the point, fence and change of each.
    """

    number: int
    fence: int
    point: str
    gradient: str
    portions: int
    quantum: float
    known: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Report:
    """A portion's answer: its share of the loss, or the error of its worker.

    With a ``mismatch`` the worker does not compute what the coordinator would; ``lost`` is what
    a server had acknowledged, which is the coordinator's to mend. It was ``cut`` short when others
    had waited long enough; ``computing_s`` is what computing the whole takes.
    """

    fence: int
    evaluation: int
    portion: int
    dispatch: int
    worker: str
    loss: float = 0.0
    largest: float = 0.0
    seconds: float = 0.0
    error: str = ""
    mismatch: bool = False
    lost: bool = False
    computing_s: float = 0.0
    cut: bool = False


@cache
def _report_reader() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


@cache
def _evaluation_reader() -> TypeAdapter[BatchEvaluation]:
    return TypeAdapter(BatchEvaluation)


def announce(servers: Servers, run: str, evaluation: BatchEvaluation) -> None:
    """Make ``evaluation`` known, and forget the one before it."""
    document, number = json.dumps(asdict(evaluation)), evaluation.number
    make = Command(0, ("SET", _key(run, number), document, "EX", KEEP_S))
    servers.call([make, Command(0, ("UNLINK", _key(run, number - 1)))])


def find(servers: Servers, run: str, number: int) -> BatchEvaluation | None:
    """The evaluation of that number; None if it is over, RunDamaged if it is none."""
    key = _key(run, number)
    found = servers.one("GET", key)
    if found is None:
        return None
    with understood(servers.key(key)):
        return _evaluation_reader().validate_json(found, strict=True)


def clear(servers: Servers, run: str, number: int) -> None:
    """Forget the last evaluation and the reports that nobody waits for."""
    servers.one("UNLINK", _key(run, number), control(run, "portions"))


def report(servers: Servers, run: str, answer: Report) -> None:
    """Hand in a report. It may be lost, or arrive twice: the shards know what was counted."""
    key, document = control(run, "portions"), json.dumps(asdict(answer))
    # One that comes when the run is over stays behind, and must not for ever.
    servers.call([Command(0, ("RPUSH", key, document)), Command(0, ("EXPIRE", key, KEEP_S))])


def collect(servers: Servers, run: str, timeout_s: float) -> Sequence[Report]:
    """The reports that have come, waiting up to ``timeout_s`` for the first."""
    key = control(run, "portions")
    popped = servers.one("BLMPOP", f"{timeout_s:.3f}", 1, key, "LEFT", "COUNT", MOST_REPORTS)
    return list(_reports(popped[1] if popped else ()))


def _reports(documents: Sequence[bytes]) -> Iterator[Report]:
    for document in documents:
        try:
            yield _report_reader().validate_json(document, strict=True)
        except ValidationError:
            log.warning("what lies among the portions' reports is none, and was left out")


def _key(run: str, number: int) -> str:
    return control(run, f"evaluation:{number}")
