"""The Sandblaster driver: L-BFGS asks, shards and portions answer.

The coordinator never sees a vector. The optimizer
(:mod:`distbelief.coordinator.sandblaster.lbfgs`, or with an L1 term
:mod:`distbelief.coordinator.sandblaster.owlqn`) asks for operations on named vectors, which the
shards do, and for evaluations, which Celery tasks do portion by portion; what comes back is
scalars.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from distbelief.app.files.checkpoint import understood
from distbelief.app.layout.keys import BEST, COUNTED, PARAMETERS, named
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.standings import Standing, Standings, from_json, to_json
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.status import SandblasterStatus
from distbelief.coordinator.runs.checkpoints import Capture
from distbelief.coordinator.runs.driver import DriverHooks, FinalState, Latest, Say
from distbelief.coordinator.runs.heldout import HeldoutEvaluations
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import remains
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.descent import DescentState, Evaluate, Iterated
from distbelief.coordinator.sandblaster.minimisers import check_begun, minimiser, wording_divergence
from distbelief.coordinator.sandblaster.portion_count import Cut
from distbelief.coordinator.sandblaster.scoring import Scoring
from distbelief.coordinator.sandblaster.space import Space
from distbelief.coordinator.sandblaster.status import status_of
from distbelief.coordinator.sandblaster.summary import summary


class _Stopped(Exception):
    """Somebody asked to stop in the middle of an evaluation."""


class Sandblaster:
    """Drives one Sandblaster run from its first evaluation to its last."""

    def __init__(
        self,
        session: Session,
        problem: Problem,
        hooks: DriverHooks,
        store: VectorStore,
        workers: int,
    ) -> None:
        self._session = session
        self._problem = problem
        self._hooks = hooks
        self._store = store
        self._space = Space(store)
        self._evaluator = BatchEvaluator(session, store, Cut.of(problem), workers, self._turn)
        self._state: DescentState | None = None
        self._step = 0.0
        self._reason: EndReason | None = None
        #: Why it ended, once the minimiser is where models are and no other vector is needed.
        self._ended: EndReason | None = None
        self._next_heldout = 0.0
        #: What a coordinator goes back to after a loss: those of the last iteration.
        self._quantum = 0.0
        self._known: Standings = (Standing(),) * problem.layout.n_shards
        self._began = time.monotonic()
        self._limit_s = problem.config.max_seconds or math.inf
        #: The training before this one, whose parameters it began with, if there was one.
        self.before: Mapping[str, Any] | None = None
        self.evaluations = HeldoutEvaluations(session, problem, store, workers)
        self._scoring = Scoring(self.evaluations, hooks, self._look)

    @classmethod
    def on_servers(cls, session: Session, problem: Problem, hooks: DriverHooks) -> Sandblaster:
        """The driver of a run whose vectors lie on the session's servers."""
        run, dtype = session.record.run, problem.config.dtype
        store = RedisVectorStore(session.servers, run, problem.layout, dtype, fence=session.fence)
        return cls(session, problem, hooks, store, max(1, session.messages.processes()))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def create(self) -> None:
        self._store.create(self._problem.initial_values.parameters)
        self._known = self._store.standings

    def load_state(self, document: Mapping[str, Any]) -> None:
        self._began = time.monotonic() - document["seconds"]
        self._state = DescentState.from_json(state) if (state := document["state"]) else None
        self._ended = EndReason(ended) if (ended := document.get("ended")) else None
        self.before = document.get("before")
        self._step, self._quantum = document["step"], document["quantum"]
        self._next_heldout = document["next_heldout"]
        self._known = from_json(document.get("known"), self._problem.layout.n_shards)
        self._evaluator.load_state(document)
        self.evaluations.load_state(document["evaluations"])

    def restore(self, latest: Latest, say: Say) -> None:
        # The vectors of an iteration belong together: all shards go back if one lost any.
        store, names = self._store, [*map(named, self._in_force)]
        store.fence = self._session.fence
        left = remains.look(store, self._session.record, self._known, names, say)
        if not left.whole:
            saved, before = latest(), self._iteration
            with understood(saved) as document:
                self.load_state(document["driver"])
            self._space.restore(saved, self._in_force)
            say(remains.came_back(saved, self._iteration, before))
        elif left.older:
            say(f"iteration {self._iteration} is whole: what came after it is made again")
        store.raise_fence(self._session.fence)
        self._space.reset(self._in_force)
        store.drop(*(self.before["left"] if self.before else ()))
        self._known = store.standings
        self._evaluator.quantum = self._quantum
        if (passes := self.evaluations.forget()) is not None:
            self._next_heldout = min(self._next_heldout, passes)
        self._session.leader.commit(self._document())  # or half of what is made again passes for it

    def capture(self) -> Capture:
        names = self._in_force
        self._space.pin(names)
        rank = None if self._state is None else -self._state.loss
        return Capture(
            document={"driver": self._document()},
            vectors=lambda: self._space.read(names),
            release=self._space.unpin,
            rank=rank,
        )

    def run(self) -> EndReason:
        """Minimise until a reason to stop.

        Raises:
            Diverged: the loss is not finite where the run begins, or falls without bound.
            WorkFailed: a portion failed as often as it may.
            WaitTimeout: no portion was answered for very long.
        """
        if self._ended is not None:
            return EndReason.INTERRUPTED if self._hooks.should_stop() else self._ended
        config, loss_unit = self._session.config, self._problem.loss_unit
        asking = minimiser(self._space, self._start(), config, loss_unit)
        try:
            with wording_divergence():
                request = next(asking)
                while True:
                    if isinstance(request, Evaluate):
                        self._space.note_evaluation(request)
                        request = asking.send(self._evaluator.evaluate(request))
                        continue
                    self._take_iteration(request)
                    if (reason := self._reason_to_stop()) is not None:
                        break
                    request = next(asking)
        except StopIteration as end:
            reason = check_begun(end.value)
        except _Stopped:
            reason = self._reason_to_stop() or EndReason.INTERRUPTED
        if reason is not EndReason.INTERRUPTED and self._problem.n_heldout:
            # Without a state, time was up before the first evaluation was done.
            point = self._state.point if self._state else "x0"
            self._scoring.score_end(self._passes, self.seconds, named(point))
        self._reason = reason
        return EndReason.INTERRUPTED if self._hooks.should_stop() else reason

    def finish(self, *, resumable: bool) -> FinalState:
        """Read the minimiser, which is what Sandblaster is for, whatever the held-out score."""
        self.evaluations.abandon()
        if not resumable:
            self._settle_end()
        state = self._state if self._ended is None else None
        vector = PARAMETERS if state is None else named(state.point)
        parameters = self._store.fetch(vector).vector
        if not resumable:
            self._space.clear()
            self._store.drop(BEST, COUNTED)
            self._evaluator.clear()
        return FinalState(self.evaluations.last_at(self._passes), parameters, {}, {})

    def _settle_end(self) -> None:
        """Put the minimiser where models are, and commit that nothing else is needed any more.

        Whoever goes on after a death in the last moments has it, though the vectors are gone.
        """
        if self._ended is not None:
            return
        if self._state is not None:
            self._store.copy(named(self._state.point), PARAMETERS)
        self._known, self._ended = self._store.standings, self._reason
        self._session.leader.commit(self._document())

    def abandon(self) -> None:
        self.evaluations.abandon()
        self._session.renew()
        self._store.raise_fence(self._session.fence)

    def publish(self, parameters: Vector, tables: Tables) -> None:
        self._store.put(PARAMETERS, parameters, tables)

    def summary(self) -> list[str]:
        return summary(self._evaluator, self._state, self._problem)

    def _turn(self) -> None:
        """Look around between reports, without waiting for anything."""
        self._scoring.collect()
        self._hooks.check()
        self._hooks.checkpoints.advance(self._session.fence, self.capture)
        self._hooks.on_status(self.status())
        self._evaluator.check_stall()
        if self._hooks.should_stop() or self.seconds >= self._limit_s:
            raise _Stopped

    def _take_iteration(self, news: Iterated) -> None:
        """Commit an iteration and tell of it; now and then have it scored."""
        state = self._state = news.state
        self._step = news.step
        self._quantum, self._known = self._evaluator.quantum, self._store.standings
        self._session.leader.commit(self._document())
        self._session.tell(
            "iteration",
            iteration=state.iteration,
            loss=self._problem.loss_unit * state.loss,
            gradient_norm=state.gradient_norm,
            step=news.step,
            evaluations=news.evaluations,
            training_s=self.seconds,
        )
        due = self._passes >= self._next_heldout and not self.evaluations.running
        if due and self._problem.n_heldout:
            self._next_heldout = self._passes + self._session.config.evaluate_every
            self.evaluations.start(self._passes, self.seconds, named(state.point))

    @property
    def _iteration(self) -> int:
        return self._state.iteration if self._state else 0

    @property
    def _passes(self) -> float:
        """An iteration counts as a pass, after those of the training before."""
        return self._iteration + (self.before["passes"] if self.before else 0)

    @property
    def _in_force(self) -> list[str]:
        """The vectors without which there is no going on from here."""
        state = self._state if self._ended is None else None
        return [] if state is None else sorted(set(state.in_force))

    def _start(self) -> str | DescentState:
        """Where the minimisation begins, or goes on."""
        if self._state is not None:
            return self._state
        self._store.copy(PARAMETERS, named("x0"))
        self._space.live.add("x0")
        return "x0"

    def _document(self) -> dict[str, Any]:
        """The state that a new coordinator needs beside the vectors."""
        return {
            "state": self._state.to_json() if self._state else None,
            "ended": self._ended,
            "step": self._step,
            **self._evaluator.to_json(),
            "quantum": self._quantum,
            "before": self.before,
            "known": to_json(self._known),
            "seconds": self.seconds,
            "next_heldout": self._next_heldout,
            "evaluations": self.evaluations.to_json(),
        }

    def _reason_to_stop(self) -> EndReason | None:
        if self._hooks.should_stop():
            return EndReason.INTERRUPTED
        if self.seconds >= self._limit_s:
            return EndReason.TIME
        return self.evaluations.reason_to_stop()

    def _look(self) -> None:
        self._hooks.check()
        self._hooks.on_status(self.status())

    def status(self) -> SandblasterStatus:
        return status_of(
            self._session,
            self._problem,
            self._evaluator,
            self._state,
            self.evaluations,
            step=self._step,
            seconds=self.seconds,
        )
