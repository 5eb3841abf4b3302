"""One evaluation of the whole batch: every portion computed, and counted once.

Sums over portions are exact, and so independent of who computes what and of the order in
which answers arrive; see :mod:`worker_tasks.portion`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from app.keys import named
from app.runs import batch
from app.runs.record import FIRST_FENCE
from app.store.contract import VectorStore
from coordinator.lbfgs import Evaluate
from coordinator.portions import Policy, Portions, Tally
from coordinator.session import Session
from worker_tasks.portion import is_exact, quantum

#: How long to wait for a report before looking for portions to send again.
REPORT_TICK_S = 0.05

#: Portions silent for this long are taken for lost even if no worker seems idle.
LOST_S = 60.0

#: Above this share of unused range the quantum is made finer again.
SLACK = 2.0**-8


class Batch:
    """Evaluates loss and gradient by portions.

    Args:
        session: the run.
        store: where the vectors are.
        n_portions: the batch is cut into so many.
        workers: processes that compute them.
        turn: called again and again while portions are outstanding; may raise to stop.
    """

    def __init__(
        self,
        session: Session,
        store: VectorStore,
        n_portions: int,
        workers: int,
        turn: Callable[[], None],
    ) -> None:
        self._session, self._store, self._turn = session, store, turn
        self.n_portions = n_portions
        self._policy = Policy(
            workers=workers,
            floor_s=session.config.backup_seconds,
            lost_s=LOST_S,
            max_failures=session.config.unit_attempts,
        )
        self._portions: Portions | None = None
        self.tally = Tally()
        #: The number of the last evaluation, which is how many there were.
        self.number = 0
        self.quantum = 0.0

    @property
    def n_done(self) -> int:
        return self._portions.n_done if self._portions else 0

    @property
    def outstanding(self) -> dict[int, float]:
        """Ages in seconds of the portions that are out."""
        return self._portions.outstanding if self._portions else {}

    @property
    def slowest(self) -> tuple[int, float] | None:
        """The portion that has been out for longest, and for how many seconds."""
        return max(self.outstanding.items(), key=lambda item: item[1], default=None)

    def evaluate(self, request: Evaluate) -> float:
        """Loss and gradient at a point; again with a coarser quantum if sums were not exact."""
        dtype = self._session.config.dtype
        while True:
            losses, largest = self._sum_portions(request)
            try:
                loss = math.fsum(losses)
            except OverflowError:
                loss = math.inf
            if not math.isfinite(loss):
                return math.inf  # too far: nobody will use this gradient
            most = largest * self.n_portions
            exact = is_exact(most, self.quantum, dtype)
            if not exact or is_exact(most / SLACK, self.quantum, dtype):
                self.quantum = quantum(most, dtype)
            if exact or self.quantum == 0:
                return loss

    def _sum_portions(self, request: Evaluate) -> tuple[list[float], float]:
        """Have every portion computed and counted once: their losses, their largest number."""
        self.number += 1
        evaluation = batch.Evaluation(
            number=self.number,
            fence=FIRST_FENCE,
            point=named(request.point),
            gradient=named(request.gradient),
            portions=self.n_portions,
            quantum=self.quantum,
        )
        # The shards first: from then on late portions of the last evaluation change nothing.
        self._store.begin(evaluation.number, evaluation.gradient)
        batch.announce(self._session.control, self._session.record.run, evaluation)
        self._portions = Portions(
            self.n_portions, self._policy, self._send, time.monotonic, self.tally
        )
        losses, largest = [0.0] * self.n_portions, 0.0
        while not self._portions.done:
            self._portions.advance()
            for report in self._collect():
                if report.error:
                    self._portions.fail(report.portion, f"on {report.worker}: {report.error}")
                elif self._portions.complete(report.portion, report.dispatch):
                    losses[report.portion] = report.loss
                    largest = max(largest, report.largest)
            self._turn()
        return losses, largest

    def _send(self, portion: int, dispatch: int) -> None:
        self._session.send("sandblaster", self.number, portion, dispatch)

    def _collect(self) -> list[batch.Report]:
        control, run = self._session.control, self._session.record.run
        reports = batch.collect(control, run, REPORT_TICK_S)
        return [report for report in reports if report.evaluation == self.number]
