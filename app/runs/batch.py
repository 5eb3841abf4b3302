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
from distbelief.app.runs import offers
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
    had waited long enough; ``computing_s`` is what computing the whole takes. ``shift`` is the
    worker's.
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
    shift: int = 0


@dataclass(frozen=True)
class ShiftNews:
    """That a shift has begun, or is over."""

    fence: int
    shift: int
    over: bool


News = Report | ShiftNews


@cache
def _news_reader() -> TypeAdapter[News]:
    return TypeAdapter(News)


@cache
def _evaluation_reader() -> TypeAdapter[BatchEvaluation]:
    return TypeAdapter(BatchEvaluation)


def announce(servers: Servers, run: str, evaluation: BatchEvaluation) -> None:
    """Make ``evaluation`` known, and forget the one before it, with what is offered of it."""
    document, number = json.dumps(asdict(evaluation)), evaluation.number
    make = Command(0, ("SET", _key(run, number), document, "EX", KEEP_S))
    before = Command(0, ("UNLINK", _key(run, number - 1)))
    servers.call([make, before, offers.withdrawing(run, evaluation.fence)])


def find(servers: Servers, run: str, number: int) -> BatchEvaluation | None:
    """The evaluation of that number; None if it is over, RunDamaged if it is none."""
    key = _key(run, number)
    found = servers.one("GET", key)
    if found is None:
        return None
    with understood(servers.key(key)):
        return _evaluation_reader().validate_json(found, strict=True)


def clear(servers: Servers, run: str, fence: int, number: int) -> None:
    """Forget the last evaluation, its offers, and the reports that nobody waits for."""
    gone = Command(0, ("UNLINK", _key(run, number), control(run, "portions")))
    servers.call([gone, offers.withdrawing(run, fence)])


def telling(run: str, news: News) -> list[Command]:
    """Commands that hand in a report or other news.

    They may be lost, or arrive twice: the shards know what was counted.
    """
    key, document = control(run, "portions"), json.dumps(asdict(news))
    # One that comes when the run is over stays behind, and must not for ever.
    return [Command(0, ("RPUSH", key, document)), Command(0, ("EXPIRE", key, KEEP_S))]


def collect(
    servers: Servers, run: str, timeout_s: float, first: Sequence[Command] = ()
) -> list[News]:
    """The news that have come, waiting up to ``timeout_s`` for them.

    Commands that are to be done before go in the same round trip.
    """
    key = control(run, "portions")
    wait = ("BLMPOP", f"{timeout_s:.3f}", 1, key, "LEFT", "COUNT", MOST_REPORTS)
    popped = servers.call([*first, Command(0, wait)])[-1]
    return list(_read(popped[1] if popped else ()))


def _read(documents: Sequence[bytes]) -> Iterator[News]:
    for document in documents:
        try:
            yield _news_reader().validate_json(document, strict=True)
        except ValidationError:
            log.warning("what lies among the portions' reports is none, and was left out")


def _key(run: str, number: int) -> str:
    return control(run, f"evaluation:{number}")
