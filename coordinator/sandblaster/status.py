"""The status of a Sandblaster run, put together from its parts."""

from __future__ import annotations

import math

from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.status import SandblasterStatus
from distbelief.coordinator.runs.heldout import HeldoutEvaluations
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.descent import DescentState


def status_of(
    session: Session,
    problem: Problem,
    evaluator: BatchEvaluator,
    state: DescentState | None,
    evaluations: HeldoutEvaluations,
    *,
    step: float,
    seconds: float,
) -> SandblasterStatus:
    """How a run stands after ``seconds`` of training, its last iteration being ``state``.

    ``step`` is the length of that iteration's step along its direction.
    """
    history, tally = evaluations.history, evaluator.tally
    return SandblasterStatus(
        iteration=state.iteration if state else 0,
        total_iterations=session.config.iterations,
        examples=tally.portions * problem.n_train // evaluator.n_portions,
        seconds=seconds,
        limit_s=session.config.max_seconds,
        loss=problem.loss_unit * state.loss if state else math.nan,
        gradient_norm=state.gradient_norm if state else math.nan,
        step=step,
        nonzeros=state.nonzeros if state else None,
        n_weights=problem.layout.n_penalised,
        evaluations=evaluator.number,
        evaluation=history[-1] if history else None,
        best=evaluations.best,
        workers=evaluator.n_live,
        wanted=min(evaluator.workers, len(evaluator.outstanding)),
        portions_done=evaluator.n_done,
        portions_outstanding=len(evaluator.outstanding),
        n_portions=evaluator.n_portions,
        tally=tally,
        slow=evaluator.slowest,
    )
