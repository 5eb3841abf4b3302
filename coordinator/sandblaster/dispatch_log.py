"""A log of the dispatches of an evaluation: for the run's journal, and so for reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reports read logs, and talk to no server
    from distbelief.app.runs.batch import Report

#: After so many dispatches only evaluations that sent a portion again are told of: a journal
#: has some 50 bytes for each.
MOST_TOLD = 100_000

#: Of a second; seconds are told so exactly.
DIGITS = 4


class Fate(StrEnum):
    """The end of a dispatch of a portion."""

    WON = "won"
    LOST = "lost"  # it answered after another one of its portion
    FAILED = "failed"
    UNANSWERED = "unanswered"  # the evaluation was over before


@dataclass
class _Dispatch:
    """Seconds since the evaluation began; computing ``began`` before it ``ended`` here."""

    sent: float
    worker: str = ""
    began: float | None = None
    ended: float | None = None
    fate: Fate = Fate.UNANSWERED


class DispatchLog:
    """The dispatches of one evaluation, from its begin.

    Args:
        clock: in seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._origin = clock()
        self._dispatches: dict[tuple[int, int], _Dispatch] = {}

    def __len__(self) -> int:
        return len(self._dispatches)

    @property
    def repeated(self) -> bool:
        """Whether any portion was sent more than once."""
        return any(number for _, number in self._dispatches)

    def note_sent(self, portion: int, number: int) -> None:
        """Note that dispatch ``number`` of a portion goes out: 0 is the first."""
        self._dispatches[portion, number] = _Dispatch(self._seconds())

    def note_answer(self, report: Report, *, won: bool) -> None:
        """Note the answer of a worker; ``won`` if it was the first one for its portion."""
        dispatch = self._dispatches.get((report.portion, report.dispatch))
        if dispatch is None or dispatch.ended is not None:
            return  # of a coordinator before, or told twice
        dispatch.ended = self._seconds()
        dispatch.began = max(dispatch.sent, dispatch.ended - report.seconds)
        dispatch.worker = report.worker
        dispatch.fate = Fate.FAILED if report.error else Fate.WON if won else Fate.LOST

    def document(self) -> dict[str, Any]:
        """JSON: rows of (portion, dispatch, worker or -1, sent, began, ended, fate).

        Workers are numbered; what is not known of a dispatch without an answer is None.
        """
        workers = sorted({each.worker for each in self._dispatches.values()} - {""})
        numbers = {"": -1} | {worker: number for number, worker in enumerate(workers)}
        rows = [
            [
                *key,
                numbers[each.worker],
                *map(_rounded, (each.sent, each.began, each.ended)),
                each.fate,
            ]
            for key, each in self._dispatches.items()
        ]
        return {"seconds": _rounded(self._seconds()), "workers": workers, "dispatches": rows}

    def _seconds(self) -> float:
        return self._clock() - self._origin


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, DIGITS)
