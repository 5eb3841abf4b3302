"""Held-out scores of a minimisation's points: beside it, and where it ended."""

from __future__ import annotations

from collections.abc import Callable

from distbelief.coordinator.runs.driver import TICK_S, DriverHooks
from distbelief.coordinator.runs.heldout import HeldoutEvaluations


class Scoring:
    """Takes evaluations in as they come; ``look`` is called while one is waited for."""

    def __init__(
        self, evaluations: HeldoutEvaluations, hooks: DriverHooks, look: Callable[[], None]
    ) -> None:
        self._evaluations = evaluations
        self._hooks = hooks
        self._look = look

    def collect(self, seconds: float = 0.0) -> None:
        """Take in what there is of the evaluation that is running, if one is."""
        running = self._evaluations.running
        if running and (evaluation := self._evaluations.collect(seconds)):
            self._evaluations.tell(evaluation)

    def score_end(self, passes: float, seconds: float, vector: str) -> None:
        """Score the vector where the run ended, unless it was scored there before."""
        self._finish()
        if self._hooks.should_stop():
            return
        if self._evaluations.last_at(passes) is None:
            self._evaluations.start(passes, seconds, vector)
        self._finish()

    def _finish(self) -> None:
        while self._evaluations.running and not self._hooks.should_stop():
            self.collect(TICK_S)
            self._look()
