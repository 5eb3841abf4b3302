"""The lines that Sandblaster adds to the summary of a training."""

from __future__ import annotations

from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.descent import DescentState


def summary(evaluator: BatchEvaluator, state: DescentState | None, problem: Problem) -> list[str]:
    """Iterations, non-zero weights of those that an L1 term covers, evaluations and backups."""
    tally = evaluator.tally
    evaluations = (
        f"{evaluator.number} evaluations of {evaluator.n_portions} portions; backups sent "
        f"{tally.sent}, won {tally.won}, wasted {tally.wasted}; retries {tally.retries}"
    )
    if state is None:
        return [evaluations]
    lines = [
        f"{state.iteration} iterations; objective {problem.loss_unit * state.loss:.10g}, "
        f"gradient norm {state.gradient_norm:.3g}"
    ]
    if state.nonzeros is not None:
        lines.append(f"non-zero weights {state.nonzeros:,} of {problem.layout.n_penalised:,}")
    return [*lines, evaluations]
