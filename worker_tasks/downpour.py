"""The Downpour task: a unit of steps of one replica."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import ledger, open_context
from distbelief.worker_tasks.lease import Lease, work
from distbelief.worker_tasks.process import computing


@shared_task(name="distbelief.downpour")
@computing()
def run_unit(run: str, unit: str) -> str:
    """Bring one subset's stream of steps up to where the unit ends."""

    def do(lease: Lease) -> dict[str, Any]:
        claim = lease.claim
        subset, start, stop = (claim.specification[each] for each in ("subset", "start", "stop"))
        token = Token(claim.fence, subset, claim.attempt)
        replica = open_context(run, claim.fence).replica(subset)
        return replica.run(token, stop, lease.check, start=start).to_json()

    return work(ledger(run), unit, do)
