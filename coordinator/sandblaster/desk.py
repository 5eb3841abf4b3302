"""The desk between a batch and its workers: portions are laid out there, and reports come in."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from distbelief.app.broker.messages import Arguments
from distbelief.app.errors import ServerUnreachable
from distbelief.app.runs import batch, offers
from distbelief.app.runs.offers import Offer
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.shifts import Shifts

#: How long to wait for a report before looking for portions to send again.
REPORT_TICK_S = 0.05

#: Portions so short that some of them take no longer than this are taken together.
BUNDLE_S, MOST_BUNDLED, TINY_S = 0.005, 64, 1e-6


class Desk:
    """What a run's coordinator offers, to whom, and what it hears of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fence = 0
        self._offered: list[Offer] = []
        self._most = 1

    def open(self, usual_s: float) -> None:
        """Begin an evaluation whose portions take so long; under a new fence nobody is at work."""
        self._offered, self._most = [], int(min(BUNDLE_S / max(usual_s, TINY_S), MOST_BUNDLED))
        if self._fence != self._session.fence:
            self._fence = self._session.fence
            self._shifts = Shifts(self._session.send_shift, time.monotonic)

    def offer(self, offer: Offer) -> None:
        """Lay out a portion, with the next look at reports."""
        self._offered.append(offer)

    def collect(self, evaluation: int, workers: int, useful: int) -> list[batch.Report]:
        """Wait a moment for reports of an evaluation.

        ``workers`` processes are known, and ``useful`` would have something to do.
        """
        run, offered, self._offered = self._session.record.run, self._offered, []
        self._shifts.advance(workers, useful)
        size = max(1, min(self._most, math.ceil(len(offered) / workers)))
        bundles = [offered[at : at + size] for at in range(0, len(offered), size)]
        first = offers.offering(run, self._fence, bundles) if bundles else []
        reports = list[batch.Report]()
        for news in batch.collect(self._session.control, run, REPORT_TICK_S, first):
            if news.fence != self._fence:
                continue
            if isinstance(news, batch.ShiftNews):
                (self._shifts.note_over if news.over else self._shifts.note_begun)(news.shift)
                continue
            self._shifts.note_sign(news.shift)
            if news.evaluation == evaluation:
                reports.append(news)
        return reports

    def search(self, evaluation: int) -> dict[int, str] | None:
        """The worker that has each portion, or "" for none yet; None if no worker answers."""
        try:
            calls = self._calls(begun=False)
        except ServerUnreachable:
            return None
        if calls is None:
            return None
        waiting = self._session.waiting("sandblaster")
        if waiting is not None:
            self._shifts.locate({*calls, *self._ours(dict.fromkeys(waiting, ""))})
        return {
            offer.portion: "" if shift is None else calls[shift]
            for offer, shift in self._find(calls).items()
            if offer.evaluation == evaluation
        }

    def at_work(self, evaluation: int) -> set[tuple[int, Offer]]:
        """The portions of an evaluation that workers compute, each with the shift."""
        found = self._find(self._calls(begun=True) or {}).items()
        return {
            (shift, offer)
            for offer, shift in found
            if shift is not None and offer.evaluation == evaluation
        }

    def _find(self, shifts: Mapping[int, str]) -> dict[Offer, int | None]:
        return offers.find(self._session.control, self._session.record.run, self._fence, shifts)

    def _calls(self, *, begun: bool) -> dict[int, str] | None:
        """The worker of each shift that was taken."""
        messages, run = self._session.messages, self._session.record.run
        calls = messages.calls("sandblaster", run, begun=begun)
        return None if calls is None else self._ours(calls)

    def _ours(self, calls: Mapping[Arguments, str]) -> dict[int, str]:
        """Shifts of this coordinator's turn, by their number."""
        return {
            int(shift): worker for (fence, shift), worker in calls.items() if fence == self._fence
        }
