"""The Sandblaster driver: L-BFGS asks, shards and portions answer.

The coordinator never sees a vector. The optimizer (:mod:`coordinator.lbfgs`) asks for
operations on named vectors, which the shards do, and for evaluations, which Celery tasks
do portion by portion; what comes back is scalars.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from app.errors import Diverged, NotFinite, WaitTimeout
from app.keys import COUNTED, PARAMETERS, named
from app.layout import Vector
from app.runs import batch
from app.runs.record import FIRST_FENCE
from app.store.contract import VectorStore
from app.store.vectors import RedisVectorStore
from coordinator.batch import Batch
from coordinator.driver import TICK_S, Stage
from coordinator.evaluations import BEST, Evaluations
from coordinator.job import Job
from coordinator.lbfgs import Evaluate, Iterated, Settings, State, minimise
from coordinator.outcome import EndReason, Evaluation
from coordinator.session import Session
from coordinator.status import SandblasterStatus

#: A held-out evaluation is looked after between portions, without waiting for it.
NO_WAIT_S = 0.001


class _Space:
    """The optimizer's vectors, on the shards under names of their own.

    ``live`` are those that are there, so that a run that is cut off leaves none behind.
    """

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self.live: set[str] = set()

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return self._store.dots([(named(a), named(b)) for a, b in pairs])

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None:
        self.live.add(out)
        self._store.combine(named(out), [(c, named(name)) for c, name in terms])

    def drop(self, names: Sequence[str]) -> None:
        self._store.drop(*map(named, names))
        self.live.difference_update(names)

    def evaluated(self, request: Evaluate) -> None:
        """Note the vector that an evaluation writes."""
        self.live.add(request.gradient)


class _Stopped(Exception):
    """Somebody asked to stop in the middle of an evaluation."""


class Sandblaster:
    """Drives one Sandblaster run from its first evaluation to its last."""

    def __init__(
        self, session: Session, job: Job, stage: Stage, store: VectorStore, workers: int
    ) -> None:
        assert job.portions is not None
        self._session, self._job, self._stage, self._store = session, job, stage, store
        self._space = _Space(store)
        self._batch = Batch(session, store, job.portions, workers, self._turn)
        self._state: State | None = None
        self._step = 0.0
        self._next_heldout = 0.0
        self._began = time.monotonic()
        self.evaluations = Evaluations(session, job, self._store)

    @classmethod
    def on_servers(cls, session: Session, job: Job, stage: Stage) -> Sandblaster:
        """The driver of a run whose vectors lie on the session's servers."""
        store = RedisVectorStore(
            session.servers, session.record.run, job.layout, job.config.dtype, fence=FIRST_FENCE
        )
        return cls(session, job, stage, store, session.messages.processes())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def create(self) -> None:
        self._store.create(FIRST_FENCE, self._job.parameters)

    def run(self) -> EndReason:
        """Minimise until a reason to stop.

        Raises:
            Diverged: the loss is not finite where the run begins, or falls without bound.
            WorkFailed: a portion failed as often as it may.
            WaitTimeout: no portion was answered for very long.
        """
        self._store.copy(PARAMETERS, named("x0"))
        config = self._session.config
        settings = Settings(
            config.history,
            config.iterations,
            config.gradient_tolerance,
            config.decrease_tolerance,
        )
        self._space.live.add("x0")
        minimiser = minimise(self._space, "x0", settings)
        try:
            request = next(minimiser)
            while True:
                if isinstance(request, Evaluate):
                    self._space.evaluated(request)
                    request = minimiser.send(self._batch.evaluate(request))
                    continue
                self._take_iteration(request)
                if (reason := self._reason_to_stop()) is not None:
                    break
                request = next(minimiser)
        except StopIteration as end:
            reason = end.value
        except NotFinite as error:
            raise Diverged(
                f"the minimisation ran away: {error}. Is the loss bounded from below? "
                "--l2 bounds it"
            ) from error
        except _Stopped:
            reason = self._reason_to_stop() or EndReason.INTERRUPTED
        if reason is EndReason.DIVERGED:
            raise Diverged(
                "the loss or its gradient is not finite where the run begins: check the data's "
                "scale, or choose other initial values with --seed or --init-from"
            )
        if reason is not EndReason.INTERRUPTED and self._job.n_heldout:
            self._evaluate_last()
        return EndReason.INTERRUPTED if self._stage.interrupted() else reason

    def keep(self) -> tuple[Evaluation | None, Vector, dict[str, Vector]]:
        """The minimiser, which is what Sandblaster is for, whatever the held-out score."""
        state = self._state
        if state is not None:
            self._store.copy(named(state.point), PARAMETERS)
        self.abandon()
        last = self.evaluations.history[-1] if self.evaluations.history else None
        current = last is not None and last.passes == (state.iteration if state else 0)
        return (last if current else None), self._store.fetch().vector, {}

    def abandon(self) -> None:
        self._store.raise_fence(FIRST_FENCE + 1)
        self.evaluations.abandon()
        self._space.drop(sorted(self._space.live))
        self._store.drop(BEST, COUNTED)
        batch.clear(self._session.control, self._session.record.run, self._batch.number)

    def summary(self) -> list[str]:
        tally, state = self._batch.tally, self._state
        lines = [
            f"{self._batch.number} evaluations of {self._batch.n_portions} portions; backups sent "
            f"{tally.sent}, won {tally.won}, wasted {tally.wasted}; retries {tally.retries}"
        ]
        if state is not None:
            lines.insert(
                0,
                f"{state.iteration} iterations; objective {state.loss:.10g}, "
                f"gradient norm {state.gradient_norm:.3g}",
            )
        return lines

    def _turn(self) -> None:
        """Look around between reports."""
        if self.evaluations.running and (evaluation := self.evaluations.collect(NO_WAIT_S)):
            self.evaluations.tell(evaluation)
        self._stage.check()
        self._stage.show(self.status())
        self._check_stall()
        limit = self._session.config.max_seconds
        if self._stage.interrupted() or (limit is not None and self.seconds >= limit):
            raise _Stopped

    def _check_stall(self) -> None:
        """Give up when no worker reports, unless one says that it is at work."""
        silent, slow = self._batch.silent_s, self._batch.slowest
        if slow is None or silent <= self._session.config.stall_seconds:
            return
        if self._session.messages.at_work("sandblaster", self._session.record.run):
            self._batch.heard()
            return
        raise WaitTimeout(
            f"no worker has been at work on evaluation {self._batch.number} for {silent:.0f} s, "
            f"portion {slow[0]} is outstanding: are workers running (celery -A app worker)?"
        )

    def _take_iteration(self, news: Iterated) -> None:
        """Commit an iteration and tell of it; now and then have it scored."""
        state = self._state = news.state
        self._step = news.step
        control, run = self._session.control, self._session.record.run
        numbers = {"evaluation": self._batch.number, "quantum": self._batch.quantum}
        batch.commit(control, run, {**state.to_json(), **numbers})
        self._session.tell(
            "iteration",
            iteration=state.iteration,
            loss=state.loss,
            gradient_norm=state.gradient_norm,
            step=news.step,
            evaluations=news.evaluations,
        )
        due = state.iteration >= self._next_heldout and not self.evaluations.running
        if due and self._job.n_heldout:
            self._next_heldout = state.iteration + self._session.config.evaluate_every
            self.evaluations.start(state.iteration, self.seconds, named(state.point))

    def _reason_to_stop(self) -> EndReason | None:
        limit = self._session.config.max_seconds
        if self._stage.interrupted():
            return EndReason.INTERRUPTED
        if limit is not None and self.seconds >= limit:
            return EndReason.TIME
        return self.evaluations.reason_to_stop()

    def _evaluate_last(self) -> None:
        """Score the point where the run ended."""
        self._finish_heldout()
        state, history = self._state, self.evaluations.history
        if self._stage.interrupted():
            return
        if state is None:  # time was up before the first evaluation was done
            self.evaluations.start(0, self.seconds, named("x0"))
        elif not history or history[-1].passes < state.iteration:
            self.evaluations.start(state.iteration, self.seconds, named(state.point))
        self._finish_heldout()

    def _finish_heldout(self) -> None:
        while self.evaluations.running and not self._stage.interrupted():
            if evaluation := self.evaluations.collect(TICK_S):
                self.evaluations.tell(evaluation)
            self._stage.check()
            self._stage.show(self.status())

    def status(self) -> SandblasterStatus:
        state, batch_, history = self._state, self._batch, self.evaluations.history
        return SandblasterStatus(
            iteration=state.iteration if state else 0,
            total_iterations=self._session.config.iterations,
            seconds=self.seconds,
            loss=state.loss if state else math.nan,
            gradient_norm=state.gradient_norm if state else math.nan,
            step=self._step,
            evaluations=batch_.number,
            evaluation=history[-1] if history else None,
            best=self.evaluations.best,
            portions_done=batch_.n_done,
            portions_outstanding=len(batch_.outstanding),
            n_portions=batch_.n_portions,
            tally=batch_.tally,
            slow=batch_.slowest,
        )
