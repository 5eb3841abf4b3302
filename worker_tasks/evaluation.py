"""The evaluation task: the score of a snapshot on a range of the held-out data."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from app.models.metrics import score
from worker_tasks.context import ledger, open_context
from worker_tasks.lease import Lease, work


@shared_task(name="distbelief.evaluation")
def evaluate(run: str, unit: str) -> str:
    """Score the named vector on held-out examples ``start`` to ``stop``."""

    def do(lease: Lease) -> dict[str, Any]:
        specification = lease.claim.specification
        context = open_context(run, lease.claim.fence)
        features, targets = context.data.heldout.between(
            specification["start"], specification["stop"]
        )
        return score(context.source(specification["vector"]), features, targets).to_json()

    return work(ledger(run), unit, do)
