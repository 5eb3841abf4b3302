"""The Downpour driver: units out, reports in, evaluations between, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from distbelief.app.errors import DataLost
from distbelief.app.files.checkpoint import understood
from distbelief.app.layout.keys import BEST, PARAMETERS
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.store.contract.parameters import ParameterStore, ShardCounts
from distbelief.app.store.contract.standings import Standings
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.downpour.acknowledged import look
from distbelief.coordinator.downpour.checkpoint_state import Known, capture, restore
from distbelief.coordinator.downpour.final_state import read_final_state
from distbelief.coordinator.downpour.pace import Pace, pace_of
from distbelief.coordinator.downpour.reports import Reports, diverged
from distbelief.coordinator.downpour.status import status_of
from distbelief.coordinator.downpour.summary import summary
from distbelief.coordinator.downpour.units import UnitPlan, next_evaluation, reached
from distbelief.coordinator.downpour.units_out import UnitsOut
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.status import DownpourStatus
from distbelief.coordinator.runs.checkpoints import Capture
from distbelief.coordinator.runs.dispatch import Finished
from distbelief.coordinator.runs.driver import TICK_S, DriverHooks, FinalState, Latest, Say
from distbelief.coordinator.runs.heldout import HeldoutEvaluations
from distbelief.coordinator.runs.session import Session
from distbelief.worker_tasks.unit_report import UnitReport

#: Seconds between two questions for the shards' clocks.
COUNTS_S = 0.5
#: Seconds between two looks at the shards while a stream waits for slower ones.
HOLDING_TICK_S = 0.1


class Downpour:
    """Drives one Downpour run from its first unit to its last evaluation."""

    def __init__(
        self,
        session: Session,
        problem: Problem,
        hooks: DriverHooks,
        store: ParameterStore,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._problem = problem
        self._hooks = hooks
        self._store = store
        self._plan = UnitPlan.of(problem)
        self._units = UnitsOut(session, store, self._plan, pace)
        #: Units that are out once those that came back are replaced.
        self._n_out = 0
        self._reports = Reports.of(problem.config)
        self._next_evaluation = problem.config.evaluate_every
        self._counts: list[ShardCounts] = []
        self._counts_at = -math.inf
        self._began = time.monotonic()
        self.evaluations = HeldoutEvaluations(session, problem, store, problem.config.n_replicas)

    @classmethod
    def on_servers(cls, session: Session, problem: Problem, hooks: DriverHooks) -> Downpour:
        """The driver of a run whose parameters lie on the session's servers."""
        rule, dtype = shard_rule(problem.config), problem.config.dtype
        store = RedisParameterStore(
            session.servers, session.record.run, problem.layout, rule, dtype, fence=session.fence
        )
        return cls(session, problem, hooks, store, pace_of(problem, session.servers))

    @property
    def steps(self) -> int:
        return self._plan.steps_done

    @property
    def passes(self) -> float:
        return self._plan.passes_done

    @property
    def standings(self) -> Standings:
        """Where the shards stand."""
        return self._store.standings

    def create(self) -> None:
        first = self._problem.initial_values
        self._store.create(first.parameters, first.slots, first.tables)

    def load_state(self, document: Mapping[str, Any]) -> None:
        self._began = time.monotonic() - document["seconds"]
        self._next_evaluation = document["next_evaluation"]
        self._reports.load_state(document)
        self.evaluations.load_state(document["evaluations"])

    def restore(self, latest: Latest, say: Say, *, wholly: bool = False) -> None:
        """As :class:`Driver` says; ``wholly`` from the checkpoint, whatever the shards hold."""
        best = self.evaluations.best_known if self.evaluations.best is not None else ()
        known = Known(self._session.record, self._counts, self._plan.acknowledged, best)
        restored = restore(self._store, self._session.fence, latest, known, say, wholly=wholly)
        self._plan.restart_from(
            [
                min(state.sequences.get(stream, 0) for state in restored.shard_states)
                for stream in range(self._problem.config.n_streams)
            ]
        )
        self._units.clear()
        self._counts = []
        self._reports.forgive()
        if (passes := self.evaluations.forget()) is not None:
            self._next_evaluation = min(self._next_evaluation, passes)
        if restored.checkpoint is not None:
            with understood(restored.checkpoint) as document:
                self.evaluations.load_state(document["driver"]["evaluations"])
        if restored.best is not None:
            self.evaluations.lose_best(restored.best)
        if self.evaluations.best is not None and None in self._store.shard_states(BEST):
            self.evaluations.best = None  # somebody died before it was back on all shards
        # Or a coordinator after this one would believe in a best model that is gone.
        self._session.leader.commit(self._document())

    def capture(self) -> Capture:
        best, rank = self.evaluations.best is not None, self.evaluations.rank()
        return capture(self._store, self._document(), best=best, rank=rank)

    def run(self) -> EndReason:
        """Train until a reason to stop.

        Raises:
            Diverged: pushes are refused, or losses non-finite, again and again.
            WorkFailed: a unit failed as often as it may.
        """
        reason = self._train()
        self._finish_evaluation()
        self._hooks.checkpoints.settle()  # it is read under the fence that ends now
        self._fence()
        # From here on nobody pushes, and a shard that went back before does not pass for whole.
        self._counts = look(self._store, self._plan.acknowledged, self._counts)
        if reason is not EndReason.INTERRUPTED and self._problem.n_heldout:
            self._evaluate_last()
        self._judge_end()
        return EndReason.INTERRUPTED if self._hooks.should_stop() else reason

    def abandon(self) -> None:
        self._fence()

    def finish(self, *, resumable: bool) -> FinalState:
        """Read the best model by held-out score; the last one if nothing was evaluated."""
        self.evaluations.abandon()
        final = read_final_state(self._store, self.evaluations.best)
        if final.heldout is None or resumable:
            return final
        try:
            self._store.copy(BEST, PARAMETERS)
            self._store.drop(BEST)
        except DataLost as lost:  # what is left on the others cannot be trained any more
            return replace(final, complaint=str(lost))
        return final

    def publish(self, parameters: Vector, tables: Tables) -> None:
        self._store.put(PARAMETERS, parameters, tables)

    def summary(self) -> list[str]:
        return summary(self._store, self._plan, self._reports.waited_s)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def _train(self) -> EndReason:
        while (reason := self._reason_to_stop()) is None:
            if self._evaluation_due():
                self._start_evaluation()  # first: the units would keep the workers for seconds
            # A replica alone waits for evaluations: what patience ends is then the same each time.
            alone = self._problem.config.n_streams == 1 and self.evaluations.running
            if not alone:
                self._units.send()
            self._n_out = len(self._units)
            self._turn()
        self._n_out = 0
        return reason

    def _turn(self) -> None:
        """Wait for something to happen, take it in, show it."""
        tick_s = HOLDING_TICK_S if self._plan.holding else TICK_S
        for finished in self._session.dispatcher.collect(tick_s):
            if finished.unit in self._units:
                self._take_unit(finished)
            elif evaluation := self.evaluations.take(finished):
                self.evaluations.tell(evaluation)
                self._session.leader.commit(self._document())
        self._hooks.check()
        self._hooks.checkpoints.advance(self._session.fence, self.capture)
        self._hooks.on_status(self.status())

    def _take_unit(self, finished: Finished) -> None:
        unit = self._units.take(finished.unit)
        report = finished.read(UnitReport.from_json)
        self._plan.finish(unit, report.reached)
        self._reports.add(report, self._plan.pass_of(unit))
        self._session.tell(
            "unit",
            unit=unit.name,
            worker=finished.worker,
            attempt=finished.attempt,
            passes=self._plan.passes_done,
            training_s=self.seconds,
            goodput=self._reports.goodput.latest,
            **report.to_json(),
        )
        if self._reports.diverged:
            raise diverged(self._plan.steps_done, self._problem.config)
        if self._reports.plateau is not None:  # or a new coordinator would judge by less
            self._session.leader.commit(self._document())

    def _reason_to_stop(self) -> EndReason | None:
        limit = self._session.config.max_seconds
        if self._hooks.should_stop():
            return EndReason.INTERRUPTED
        if self._plan.done:
            return EndReason.PASSES
        if self._plan.owes:
            return None  # the others have what a shard lost: they are not left apart
        if limit is not None and self.seconds >= limit:
            return EndReason.TIME
        hardly = self._reports.hardly_falls(self._plan.whole_passes)
        return self.evaluations.reason_to_stop() or (EndReason.PLATEAU if hardly else None)

    def _evaluation_due(self) -> bool:
        return (
            self._problem.n_heldout > 0
            and not self.evaluations.running
            and reached(self._plan.passes_done, self._next_evaluation)
        )

    def _start_evaluation(self) -> None:
        every = self._session.config.evaluate_every
        self._next_evaluation = next_evaluation(self._plan.passes_done, every)
        self.evaluations.start(self._plan.passes_done, self.seconds)

    def _evaluate_last(self) -> None:
        """Score where the training ended."""
        last = self.evaluations.history[-1] if self.evaluations.history else None
        lost = self.evaluations.best is None
        if lost or last is None or last.passes < self._plan.passes_done or self._units:
            self._start_evaluation()
            self._finish_evaluation()

    def _finish_evaluation(self) -> None:
        while self.evaluations.running and not self._hooks.should_stop():
            self._turn()

    def _fence(self) -> None:
        """Shut out units in flight: nothing may move while the end is evaluated and saved."""
        self.evaluations.abandon()
        self._session.renew()
        self._store.raise_fence(self._session.fence)

    def _document(self) -> dict[str, Any]:
        """The state that a new coordinator needs beside the shards."""
        return {
            "seconds": self.seconds,
            "next_evaluation": self._next_evaluation,
            **self._reports.to_json(),
            "evaluations": self.evaluations.to_json(),
        }

    def _judge_end(self) -> None:
        """A run so short that the streak never filled may have diverged all the same."""
        stuck = any(count.refused > count.applied for count in self._store.counts())
        last = self.evaluations.history[-1:]
        if stuck or any(not math.isfinite(each.score.loss) for each in last):
            raise diverged(self._plan.steps_done, self._problem.config)

    def status(self) -> DownpourStatus:
        """How the training stands; the shards are asked for their clocks now and then."""
        if self._plan.done or self.seconds - self._counts_at >= COUNTS_S:
            self._counts = look(self._store, self._plan.acknowledged, self._counts)
            self._counts_at = self.seconds
        return status_of(
            self._session,
            self._problem,
            self._plan,
            self._reports,
            self.evaluations,
            counts=self._counts,
            n_out=self._n_out,
            seconds=self.seconds,
        )
