"""The Downpour driver: units out, reports in, evaluations between, and when to stop."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable

from app.errors import Diverged
from app.models.metrics import better
from app.runs.record import FIRST_FENCE
from app.store.contract import ShardCounts
from coordinator.dispatch import Finished
from coordinator.evaluations import Evaluations
from coordinator.outcome import EndReason, Evaluation
from coordinator.session import Session
from coordinator.status import Status
from coordinator.units import Unit, UnitPlan
from worker_tasks.replica import UnitReport

#: How long the loop waits for a unit before it looks around.
TICK_S = 0.5
#: Seconds between two questions for the shards' clocks.
COUNTS_S = 0.5
#: Units in a row with refused pushes or a non-finite loss: then the run has diverged.
BAD_UNITS = 3


class Downpour:
    """Drives one run from its first unit to its last evaluation.

    Args:
        session: the run.
        plan: its units.
        show: called with the status after everything that happened.
        check: called regularly; raises if the cluster is broken.
        interrupted: whether somebody asked to stop.
    """

    def __init__(
        self,
        session: Session,
        plan: UnitPlan,
        *,
        show: Callable[[Status], None],
        check: Callable[[], None],
        interrupted: Callable[[], bool],
    ) -> None:
        self._session, self._plan = session, plan
        self._show, self._check, self._interrupted = show, check, interrupted
        self._units: dict[str, Unit] = {}
        self._losses: deque[tuple[float, int]] = deque(maxlen=2 * session.config.replicas)
        self._staleness: Counter[int] = Counter()
        self._bad_units = 0
        self._next_evaluation = session.config.evaluate_every
        self._counts: list[ShardCounts] = []
        self._counts_at = -math.inf
        self._began = time.monotonic()
        self.evaluations = Evaluations(session)

    def run(self) -> EndReason:
        """Train until a reason to stop.

        Raises:
            Diverged: pushes are refused, or losses non-finite, again and again.
            WorkFailed: a unit failed as often as it may.
        """
        reason = self._train()
        if reason is not EndReason.INTERRUPTED and self._session.n_heldout:
            self._evaluate_last()
        self._judge_end()
        return reason

    @property
    def steps(self) -> int:
        return self._plan.steps_done

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def _train(self) -> EndReason:
        while (reason := self._reason_to_stop()) is None:
            for unit in self._plan.take():
                self._units[unit.name] = unit
                self._session.dispatcher.submit(
                    "downpour",
                    unit.name,
                    {"subset": unit.subset, "start": unit.start, "stop": unit.stop},
                )
            if self._evaluation_due():
                self._start_evaluation()
            self._turn()
        return reason

    def _turn(self) -> None:
        """Wait for something to happen, take it in, show it."""
        for finished in self._session.dispatcher.collect(TICK_S):
            if finished.unit in self._units:
                self._take_unit(finished)
            elif evaluation := self.evaluations.take(finished):
                self._tell_evaluation(evaluation)
        self._check()
        self._show(self.status())

    def _take_unit(self, finished: Finished) -> None:
        unit = self._units.pop(finished.unit)
        report = UnitReport.from_json(finished.report)
        self._plan.finish(unit)
        self._staleness += report.staleness
        if report.examples:
            self._losses.append((report.loss_sum, report.examples))
        bad = report.refused > 0 or not math.isfinite(report.loss_sum)
        self._bad_units = self._bad_units + 1 if bad else 0
        self._session.tell("unit", unit=unit.name, **report.to_json())
        if self._bad_units >= BAD_UNITS:
            raise self._diverged()

    def _reason_to_stop(self) -> EndReason | None:
        config, task = self._session.config, self._session.model.task
        if self._interrupted():
            return EndReason.INTERRUPTED
        if self._plan.done:
            return EndReason.PASSES
        if config.max_seconds is not None and self.seconds >= config.max_seconds:
            return EndReason.TIME
        best = self.evaluations.best
        if config.target is not None and best is not None:
            metric = best.score.metric(task)
            if metric == config.target or better(task, metric, config.target):
                return EndReason.TARGET
        if config.patience is not None and self.evaluations.since_best >= config.patience:
            return EndReason.PATIENCE
        return None

    def _evaluation_due(self) -> bool:
        return (
            self._session.n_heldout > 0
            and not self.evaluations.running
            and self._plan.passes_done >= self._next_evaluation
        )

    def _start_evaluation(self) -> None:
        every = self._session.config.evaluate_every
        self._next_evaluation = (self._plan.passes_done // every + 1) * every
        self.evaluations.start(self._plan.passes_done, self.seconds)

    def _evaluate_last(self) -> None:
        """Score where the training ended; replicas still at work are shut out first."""
        self._fence()
        while self.evaluations.running:
            self._turn()
        last = self.evaluations.history[-1] if self.evaluations.history else None
        if last is None or last.passes < self._plan.passes_done or self._units:
            self._start_evaluation()
            while self.evaluations.running:
                self._turn()

    def _fence(self) -> None:
        """Shut out units in flight: nothing may move while the end is evaluated."""
        self._session.store.raise_fence(FIRST_FENCE + 1)
        self._session.dispatcher.abandon(list(self._units))

    def _tell_evaluation(self, evaluation: Evaluation) -> None:
        self._session.tell(
            "evaluation",
            passes=evaluation.passes,
            seconds=evaluation.seconds,
            **evaluation.score.to_json(),
        )

    def _judge_end(self) -> None:
        """A run so short that the streak never filled may have diverged all the same."""
        counts = self._session.store.counts()
        stuck = any(count.refused > count.applied for count in counts)
        last = self.evaluations.history[-1:]
        if stuck or any(not math.isfinite(each.score.loss) for each in last):
            raise self._diverged()

    def _diverged(self) -> Diverged:
        return Diverged(
            f"the training diverged after {self._plan.steps_done} steps: losses or gradients "
            "are not finite any more. Try a lower --learning-rate "
            f"(now {self._session.config.learning_rate:g}), --clip-norm 1, or --warm-start-steps"
        )

    def status(self) -> Status:
        """How the training stands; the shards are asked for their clocks now and then."""
        if self.seconds - self._counts_at >= COUNTS_S:
            self._counts, self._counts_at = self._session.store.counts(), self.seconds
        examples = sum(count for _, count in self._losses)
        history = self.evaluations.history
        return Status(
            passes=self._plan.passes_done,
            total_passes=self._session.config.passes,
            steps=self._plan.steps_done,
            total_steps=self._plan.total_steps,
            seconds=self.seconds,
            training_loss=sum(s for s, _ in self._losses) / examples if examples else math.nan,
            evaluation=history[-1] if history else None,
            best=self.evaluations.best,
            shards=self._counts,
            staleness=self._staleness,
            units_in_flight=len(self._units),
            resent=self._session.dispatcher.resent,
            idle_s=self._session.dispatcher.idle_s,
            warming=self._plan.warming,
        )
