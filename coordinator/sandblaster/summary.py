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
    share = state.gradient_norm / state.first_norm if state.first_norm else 0.0
    lines = [
        f"{state.iteration} iterations; objective {problem.loss_unit * state.loss:.10g}, "
        f"gradient norm {state.gradient_norm:.3g}, {share:.2g} of the first"
    ]
    config = problem.config
    if state.iteration >= config.iterations and share > config.gradient_tolerance:
        lines.append(f"to come closer: {closer(problem)}")
    if state.nonzeros is not None:
        lines.append(f"non-zero weights {state.nonzeros:,} of {problem.layout.n_penalised:,}")
    return [*lines, evaluations]


def closer(problem: Problem) -> str:
    """What helps where the iterations were used up."""
    scaled = problem.scaling is not None and problem.scaling.n_columns > 0
    return "more iterations" if scaled else "more iterations, or columns of similar spread"
