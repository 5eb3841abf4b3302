"""The evaluation task: the score of a snapshot on a range of the held-out data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from distbelief.app.models.auc import AucBy, Ranks
from distbelief.app.models.metrics import score
from distbelief.app.runs import blobs
from distbelief.app.runs.damage import Whole
from distbelief.app.runs.ledger import Specification
from distbelief.app.store.contract.standings import from_json
from distbelief.worker_tasks.context import control_server, ledger, open_context
from distbelief.worker_tasks.lease import Lease, work
from distbelief.worker_tasks.process import computing


class Part(Specification):
    """A part of the held-out examples, to be scored with what a named vector is known to be."""

    vector: str
    known: list[Annotated[list[Whole], Field(min_length=2, max_length=2)]]
    auc: Annotated[AucBy, Field(strict=False)]
    start: Whole
    stop: Whole


@computing()
def evaluate(run: str, unit: str) -> str:
    """Score the named vector on held-out examples ``start`` to ``stop``.

    What an exact AUC needs of each example is laid down on the control server.
    """

    def do(lease: Lease) -> dict[str, Any]:
        part = lease.claim.specified(Part)
        context = open_context(run, lease.claim.fence)
        between = part.start, part.stop
        features, targets = context.data.heldout.between(*between)
        by, ranks = part.auc, Ranks()
        known = from_json(part.known, context.record.layout.n_shards)
        found = score(
            context.source(part.vector, known),
            features,
            targets,
            threshold=context.config.threshold,
            histogram=by is AucBy.HISTOGRAM,
            seen=ranks.add if by is AucBy.RANKS else None,
            weights=context.data.heldout.weights(*between),
        )
        if by is AucBy.RANKS:
            blobs.put(control_server(), run, lease.claim, ranks.pack())
        return found.to_json()

    return work(ledger(run), unit, do)
