"""The driver of a hybrid: Downpour, and from where it comes to, L-BFGS on the same shards.

Both have the same numbers in the same blocks, so nothing is moved: the hand-over is one document,
committed on the control server, which says that a minimisation begins at the parameters that the
shards hold. Whoever coordinates the run goes on by it as a new coordinator would: this one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from distbelief.app.files.checkpoint import Checkpoint, understood
from distbelief.app.layout.keys import slot
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.store.contract.standings import to_json
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs.checkpoints import Capture
from distbelief.coordinator.runs.driver import DriverHooks, FinalState, Latest, Say
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.driver import Sandblaster

#: Ends of Downpour after which L-BFGS goes on.
HANDED_OVER = (EndReason.PLATEAU, EndReason.PASSES)


class _OtherStage(Exception):
    """The checkpoint that is needed was written on the other side of the hand-over."""

    def __init__(self, saved: Checkpoint) -> None:
        super().__init__(saved.path.name)
        self.saved = saved


class Hybrid:
    """Drives one run from Downpour's first unit to the last evaluation of L-BFGS.

    Args:
        downpour, sandblaster: make the drivers of the two stages.
    """

    def __init__(
        self,
        session: Session,
        hooks: DriverHooks,
        downpour: Callable[[], Downpour],
        sandblaster: Callable[[], Sandblaster],
    ) -> None:
        self._session = session
        self._hooks = hooks
        self._make_downpour = downpour
        self._make_sandblaster = sandblaster
        self._driver: Downpour | Sandblaster = downpour()
        self.evaluations = self._driver.evaluations

    @classmethod
    def on_servers(cls, session: Session, problem: Problem, hooks: DriverHooks) -> Hybrid:
        """The driver of a run whose parameters lie on the session's servers."""
        return cls(
            session,
            hooks,
            lambda: Downpour.on_servers(session, problem, hooks),
            lambda: Sandblaster.on_servers(session, problem, hooks),
        )

    @property
    def seconds(self) -> float:
        return self._driver.seconds

    def create(self) -> None:
        self._driver.create()

    def load_state(self, document: Mapping[str, Any]) -> None:
        make = self._make_sandblaster if "state" in document else self._make_downpour
        self._driver = make()
        self.evaluations = self._driver.evaluations
        self._driver.load_state(document)

    def restore(self, latest: Latest, say: Say) -> None:
        def of_this_stage() -> Checkpoint:
            saved = latest()
            with understood(saved) as document:
                minimising = "state" in document["driver"]
            if minimising != isinstance(self._driver, Sandblaster):
                raise _OtherStage(saved)
            return saved

        try:
            self._driver.restore(of_this_stage, say)
        except _OtherStage as other:
            self._go_to_the_stage_of(other.saved, say)

    def run(self) -> EndReason:
        """Train until a reason to stop; raises as the drivers of both stages do."""
        while isinstance(self._driver, Downpour):  # a loss may undo a hand-over
            reason = self._driver.run()
            if reason in HANDED_OVER:  # what the last evaluation says comes first
                reason = self.evaluations.reason_to_stop() or reason
            if reason not in HANDED_OVER:
                return reason
            self._hand_over(self._driver, reason)
        return self._driver.run()

    def capture(self) -> Capture:
        # The stages rank by figures that cannot be compared.
        return replace(self._driver.capture(), rank=self.evaluations.rank())

    def finish(self, *, resumable: bool) -> FinalState:
        """Read what the stage that the run ended in is for: the best model, or the minimiser."""
        return self._driver.finish(resumable=resumable)

    def publish(self, parameters: Vector, tables: Tables) -> None:
        self._driver.publish(parameters, tables)

    def abandon(self) -> None:
        self._driver.abandon()

    def summary(self) -> list[str]:
        lines = self._driver.summary()
        if isinstance(self._driver, Downpour) or self._driver.before is None:
            return lines
        before = self._driver.before
        return [
            f"handed over to L-BFGS after {before['passes']:.3g} passes of Downpour, "
            f"{before['steps']:,} steps: {before['why']}",
            *lines,
        ]

    def _hand_over(self, downpour: Downpour, why: EndReason) -> None:
        """Go on with L-BFGS from the parameters on the shards, which nobody changes any more."""
        before = {
            "passes": downpour.passes,
            "steps": downpour.steps,
            "why": why,
            "left": [slot(name) for name in shard_rule(self._session.config).slots],
        }
        document = {
            "state": None,
            "step": 0.0,
            "evaluation": 0,
            "quantum": 0.0,
            "before": before,
            "known": to_json(downpour.standings),
            "seconds": downpour.seconds,
            "next_heldout": downpour.passes + self._session.config.evaluate_every,
            "evaluations": downpour.evaluations.to_json(),
        }
        self._hooks.checkpoints.settle()  # it is read under the fence that ends now
        # A new fence: changes of shards are numbered anew by whoever goes on.
        self._session.renew()
        self._session.leader.commit(document)
        self._session.tell("handover", training_s=downpour.seconds, **before)
        self.load_state(document)
        self.restore(
            self._hooks.checkpoints.latest,
            lambda line: self._session.tell("restored", what=line),
        )

    def _go_to_the_stage_of(self, saved: Checkpoint, say: Say) -> None:
        """Go back, or on, over the hand-over: what the shards hold belongs to the other stage."""
        with understood(saved) as document:
            self.load_state(document["driver"])
        if isinstance(self._driver, Sandblaster):
            self._driver.restore(lambda: saved, say)
            return
        self._driver.restore(lambda: saved, say, wholly=True)
        say("the hand-over to L-BFGS is undone: Downpour goes on")
