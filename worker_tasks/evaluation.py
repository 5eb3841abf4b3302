"""The evaluation task: the score of a snapshot on a range of the held-out data."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

from pydantic import Field

from distbelief.app.models.auc import AucBy, Ranks
from distbelief.app.models.metrics import score
from distbelief.app.models.parameters import Source
from distbelief.app.runs import blobs
from distbelief.app.runs.damage import Whole
from distbelief.app.runs.ledger import Specification
from distbelief.app.store.contract.standings import Standings, from_json
from distbelief.worker_tasks.context import RunContext, control_server, ledger, open_context
from distbelief.worker_tasks.kept import kept
from distbelief.worker_tasks.lease import Lease, work
from distbelief.worker_tasks.process import computing

#: Examples that are scored at a time, where others wait for the process, and else.
SHORT_CHUNK, CHUNK = 512, 4096


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

    Or on the first of them, if the time of a task is over: how many they are is in the score. What
    an exact AUC needs of each example is laid down on the control server.
    """

    def do(lease: Lease) -> dict[str, Any]:
        part = lease.claim.specified(Part)
        context = open_context(run, lease.claim.fence)
        between = part.start, part.stop
        features, targets = context.data.heldout.between(*between)
        by, ranks = part.auc, Ranks()
        known = from_json(part.known, context.record.layout.n_shards)
        source, limit_s = _source(context, part.vector, known), context.config.task_seconds
        began = time.monotonic()
        found = score(
            source,
            features,
            targets,
            CHUNK if limit_s == math.inf else SHORT_CHUNK,
            threshold=context.config.threshold,
            histogram=by is AucBy.HISTOGRAM,
            seen=ranks.add if by is AucBy.RANKS else None,
            weights=context.data.heldout.weights(*between),
            enough=lambda: time.monotonic() - began > limit_s,
        )
        if by is AucBy.RANKS:
            blobs.put(control_server(), run, lease.claim, ranks.pack())
        return found.to_json()

    return work(ledger(run), unit, do)


@kept(1)
def _source(context: RunContext, vector: str, known: Standings) -> Source:
    """The model that is scored, for all parts of an evaluation that a process does in a row."""
    return context.source(vector, known)
