"""The Downpour task: a unit of steps of one replica."""

from __future__ import annotations

from typing import Any

from distbelief.app.runs.damage import Whole
from distbelief.app.runs.ledger import Specification
from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import ledger, open_context
from distbelief.worker_tasks.lease import Lease, work
from distbelief.worker_tasks.process import computing


class Steps(Specification):
    """The steps of a unit, in the stream of one subset.

    Where workers come and go, it says how many were ``at_work``, and the steps between exchanges.
    """

    subset: Whole
    start: Whole
    stop: Whole
    at_work: Whole | None = None
    interval: Whole | None = None


@computing()
def run_unit(run: str, unit: str) -> str:
    """Bring one subset's stream of steps up to where the unit ends."""

    def do(lease: Lease) -> dict[str, Any]:
        claim = lease.claim
        steps = claim.specified(Steps)
        token = Token(claim.fence, steps.subset, claim.attempt)
        context = open_context(run, claim.fence)
        replica = context.replica(steps.subset, steps.at_work, steps.interval)
        before = context.servers.traffic.moved
        report = replica.run(token, steps.stop, lease.check, start=steps.start)
        report.note_moved(context.servers.traffic.moved - before)
        return report.to_json()

    return work(ledger(run), unit, do)
