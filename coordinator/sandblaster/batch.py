"""One evaluation of the whole batch: every portion computed, and counted once.

Sums over portions are exact, and so independent of who computes what and of the order in
which answers arrive; see :mod:`distbelief.worker_tasks.portion`.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from distbelief.app.errors import DataLost, ShardBehind, WaitTimeout, WorkerMismatch
from distbelief.app.layout.keys import named
from distbelief.app.runs import batch
from distbelief.app.runs.offers import Offer
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.coordinator.progress.status import Outstanding, Tally
from distbelief.coordinator.runs.liveness import WorkerLiveness
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.desk import Desk
from distbelief.coordinator.sandblaster.dispatch_log import MOST_TOLD, DispatchLog
from distbelief.coordinator.sandblaster.portion_count import Cut
from distbelief.coordinator.sandblaster.portions import Policy, Portions
from distbelief.worker_tasks.portion import is_exact, quantum
from distbelief.worker_tasks.task_clock import TooLong

#: Others look at a training so often while reports come, and not for each of them.
TURN_S = 0.01

#: Portions that are short lie ready for so long a time, at most so many for a worker, and two
#: where they are long: what waits behind a slow worker is late.
AHEAD_S, MOST_AHEAD, LEAST_AHEAD = 0.02, 8, 2

#: Workers are asked for portions that are silent for this long, and not more often than the
#: second figure unless one is missing. An answer takes a second, in which nothing else happens.
ASK_AFTER_S = 3.0
ASK_EVERY_S = 5.0

#: Portions silent for this long are taken for lost whatever workers say.
LOST_S = 60.0

#: A worker that neither reported nor was found at a portion for so long is not at work.
SILENT_S = 2 * ASK_EVERY_S

#: Above this share of unused range the quantum is made finer again.
SLACK = 2.0**-8


class BatchEvaluator:
    """Evaluates loss and gradient by portions.

    Args:
        session: the run.
        store: where the vectors are.
        cut: into how many portions the batch is cut.
        workers: processes that compute them.
        turn: called again and again while portions are outstanding; may raise to stop.
    """

    def __init__(
        self,
        session: Session,
        store: VectorStore,
        cut: Cut,
        workers: int,
        turn: Callable[[], None],
    ) -> None:
        self._session = session
        self._store = store
        self._turn = turn
        self._cut = cut
        self.workers = workers
        #: Worker processes that answered in the last evaluation, so that late ones count.
        self._seen: set[str] = set()
        self._liveness = WorkerLiveness(SILENT_S, time.monotonic)
        self._answered_at = time.monotonic()
        self._desk = Desk(session)
        #: The portions that workers were at when there had been no answer for very long.
        self._at_work: set[tuple[int, Offer]] | None = None
        self._turned_at = -math.inf
        self._ask_at = 0.0
        self._portions: Portions | None = None
        self._dispatches = DispatchLog(time.monotonic)
        self._computing: list[float] = []
        self._told = 0
        self.tally = Tally()
        #: The number of the last evaluation, which is how many there were.
        self.number = 0
        self.quantum = 0.0

    def to_json(self) -> dict[str, Any]:
        """What a coordinator that goes on has to know, beside the quantum of an iteration."""
        return {"evaluation": self.number, "portions": self.n_portions}

    def load_state(self, document: Mapping[str, Any]) -> None:
        """Load what a coordinator before noted; an older one had no portions cut."""
        self.number, self.quantum = document["evaluation"], document["quantum"]
        self._cut.portions = document.get("portions", self.n_portions)

    @property
    def n_portions(self) -> int:
        """The batch is cut into so many."""
        return self._cut.portions

    def check_stall(self) -> None:
        """Give up when no worker reports, unless one says that it is at work.

        A call that is long is found again by the next question; those that end without a word,
        one after another, are no work.

        Raises:
            WaitTimeout: nobody is, for ``stall_seconds``.
        """
        silent_s, slow = time.monotonic() - self._answered_at, self.slowest
        if slow is None or silent_s <= self._session.config.stall_seconds:
            return
        before, self._at_work = self._at_work, self._desk.at_work(self.number)
        if self._at_work and (before is None or self._at_work & before):
            self._answered_at = time.monotonic()
            return
        raise WaitTimeout(
            f"no worker has been at work on evaluation {self.number} for {silent_s:.0f} s, "
            f"{slow.name} is outstanding: are workers running (celery -A distbelief worker)?"
        )

    @property
    def n_live(self) -> int:
        """Worker processes that answered, or said that they compute, in the last seconds."""
        return min(len(self._liveness), max(self.workers, len(self._seen)))

    @property
    def n_done(self) -> int:
        return self._portions.n_done if self._portions else 0

    @property
    def outstanding(self) -> dict[int, float]:
        """Seconds since the first dispatch of each portion that is out."""
        return self._portions.outstanding if self._portions else {}

    @property
    def slowest(self) -> Outstanding | None:
        """The portion that has been out for longest, and who works on it."""
        slowest = self._portions.slowest if self._portions else None
        if slowest is None:
            return None
        portion, seconds, worker = slowest
        return Outstanding(f"portion {portion}", seconds, worker)

    def evaluate(self, request: Evaluate) -> float:
        """Compute loss and gradient at a point; returns the loss.

        Evaluates again with a coarser quantum if the sums were not exact.

        Raises:
            DataLost: a server lost what it had acknowledged, be it a portion.
            WorkerMismatch: a worker has other code, another model or other servers.
        """
        dtype = self._session.config.dtype
        while True:
            try:
                losses, largest = self._sum_portions(request)
            except TooLong:
                continue
            try:
                loss = math.fsum(losses)
            except OverflowError:
                loss = math.inf
            if not math.isfinite(loss):
                return math.inf  # too far: nobody will use this gradient
            self._check_counted()
            most = largest * self.n_portions
            exact = is_exact(most, self.quantum, dtype)
            self._cut_finer(statistics.median(self._computing))
            if not exact or is_exact(most / SLACK, self.quantum, dtype):
                self.quantum = quantum(most, dtype)
            if exact or self.quantum == 0:
                return loss

    def clear(self) -> None:
        """Forget what the last evaluation left on the control server."""
        session = self._session
        batch.clear(session.control, session.record.run, session.fence, self.number)

    def _sum_portions(self, request: Evaluate) -> tuple[list[float], float]:
        """Have every portion computed and counted once: their losses, their largest number."""
        self.number += 1
        evaluation = batch.BatchEvaluation(
            number=self.number,
            fence=self._session.fence,
            point=named(request.point),
            gradient=named(request.gradient),
            portions=self.n_portions,
            quantum=self.quantum,
        )
        self._answered_at, self._at_work = time.monotonic(), None
        # The shards first: from then on late portions of the last evaluation change nothing.
        self._store.begin(evaluation.number, evaluation.gradient)
        known = tuple((each.fence, each.change) for each in self._store.standings)
        evaluation = replace(evaluation, known=known)
        batch.announce(self._session.control, self._session.record.run, evaluation)
        self._desk.open(self._usual_s)
        self._dispatches = DispatchLog(time.monotonic)
        policy = self._policy()
        self._portions = Portions(self.n_portions, policy, self._send, time.monotonic, self.tally)
        losses, largest, self._computing = [0.0] * self.n_portions, 0.0, []
        while not self._portions.done:
            self._portions.advance()
            # Before the reports: a portion that is done is then known to be.
            found = self._search(self._portions.silent_s)
            for report in self._desk.collect(self.number, policy.workers, self._portions.n_out):
                self._answered_at, self._at_work = time.monotonic(), None
                self._seen.add(report.worker)
                first = not report.error and self._portions.complete(
                    report.portion, report.dispatch
                )
                self._dispatches.note_answer(report, won=first)
                self._liveness.note(report.worker)
                if report.mismatch:
                    raise WorkerMismatch(report.error)
                if report.lost:
                    raise DataLost(report.error)
                if report.cut and self._cut_finer(report.computing_s):
                    raise TooLong(report.computing_s)
                if report.error:
                    self._portions.fail(report.portion, f"on {report.worker}: {report.error}")
                elif first:
                    self._computing.append(report.computing_s)
                    losses[report.portion] = report.loss
                    largest = max(largest, report.largest)
            if found is not None and self._portions.locate(found):
                self._ask_at = 0.0
            self._turn_when_due()
        self._tell_dispatches()
        return losses, largest

    def _cut_finer(self, took_s: float) -> bool:
        """Cut the batch finer from now on if a portion takes that long; whether it does."""
        if not self._cut.note(took_s):
            return False
        self._session.tell("cut", portions=self.n_portions, seconds=round(took_s, 3))
        return True

    def _tell_dispatches(self) -> None:
        """Note them in the journal; of a very long run only those that are worth a look."""
        self._told += len(self._dispatches)
        if self._told <= MOST_TOLD or self._dispatches.repeated:
            document = self._dispatches.document()
            self._session.note("portions", evaluation=self.number, **document)

    def _check_counted(self) -> None:
        """Raise ShardBehind if a shard lacks portions that workers reported as counted there."""
        for shard, count in enumerate(self._store.counted(self.number)):
            if count != self.n_portions:
                raise ShardBehind(
                    f"shard {shard} lacks {self.n_portions - count} of {self.n_portions} portions "
                    "that it had acknowledged: its server came back with older data"
                )

    def _turn_when_due(self) -> None:
        now = time.monotonic()
        if now - self._turned_at >= TURN_S:
            self._turned_at = now
            self._turn()

    def _search(self, silent_s: float) -> dict[int, str] | None:
        """The worker that has each portion, or "" for none yet; None if nobody could say."""
        if silent_s <= ASK_AFTER_S or time.monotonic() < self._ask_at:
            return None
        found = self._desk.search(self.number)
        self._ask_at = time.monotonic() + ASK_EVERY_S
        for portion, worker in (found or {}).items():
            if worker:
                self._liveness.note(f"{worker} at portion {portion}")
        return found

    @property
    def _usual_s(self) -> float:
        """What computing a portion took in the last evaluation, infinity before there was one."""
        return statistics.median(self._computing) if self._computing else math.inf

    def _policy(self) -> Policy:
        workers, self._seen = max(self.workers, len(self._seen)), set()
        ready = math.ceil(AHEAD_S / max(self._usual_s, AHEAD_S / MOST_AHEAD))
        return Policy(
            workers=workers,
            floor_s=self._session.config.backup_seconds,
            lost_s=LOST_S,
            max_failures=self._session.config.unit_attempts,
            ahead=max(LEAST_AHEAD, ready),
        )

    def _send(self, portion: int, dispatch: int) -> None:
        self._dispatches.note_sent(portion, dispatch)
        self._desk.offer(Offer(self.number, portion, dispatch))
