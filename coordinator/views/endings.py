"""The end of a training, as a document for machines."""

from __future__ import annotations

from typing import Any

from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.report.hindsight import Hindsight


def document(outcome: Outcome, score_formatter: ScoreFormatter, after: Hindsight) -> dict[str, Any]:
    """All that :func:`distbelief.coordinator.views.progress.summarize` says, by name."""
    found = outcome.heldout
    return {
        "run": outcome.run,
        "reason": outcome.reason.name.lower(),
        "said": [str(outcome.reason), *outcome.details],
        "seconds": round(outcome.seconds, 3),
        "model": str(outcome.model_file),
        "warning": outcome.warning or None,
        "try_next": after.try_next or None,
        "earlier": after.earlier or None,
        "checkpoint": None if outcome.checkpoint is None else str(outcome.checkpoint),
        "evaluations": len(outcome.evaluations),
        "heldout": found
        and {
            "evaluation": found.number,
            outcome.unit: found.passes,
            **score_formatter.document(found.score),
        },
        "test": outcome.test and score_formatter.document(outcome.test),
    }
