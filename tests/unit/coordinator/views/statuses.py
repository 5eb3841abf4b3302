"""Statuses and a score formatter, made by hand, for tests of those who show them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from distbelief.app.models.metric import Metric
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import DownpourStatus, SandblasterStatus, Tally

THREE = ScoreFormatter(Task.MULTICLASS, Metric.ACCURACY, ("ash", "elm", "oak"))

EVALUATION = HeldoutEvaluation(1, 2.0, 1.5, Score(200, 50.0, 180, 0.0))

DOWNPOUR = DownpourStatus(
    passes=2.5,
    total_passes=10,
    steps=500,
    total_steps=2000,
    examples=16_000,
    seconds=4.0,
    limit_s=None,
    training_loss=0.125,
    evaluation=EVALUATION,
    best=EVALUATION,
    shards=[ShardCounts(499, 0), ShardCounts(500, 0)],
    staleness=Counter({0: 5, 1: 10, 7: 1}),
    waited_s=0.0,
    workers=2,
    wanted=2,
    units_in_flight=2,
    resent=0,
    idle_s=0.0,
    oldest=None,
    warming=False,
)

SANDBLASTER = SandblasterStatus(
    iteration=7,
    total_iterations=100,
    examples=40_000,
    seconds=4.0,
    limit_s=None,
    loss=0.125,
    gradient_norm=0.5,
    step=0.25,
    nonzeros=None,
    n_weights=7840,
    evaluations=9,
    evaluation=EVALUATION,
    best=EVALUATION,
    workers=2,
    wanted=2,
    portions_done=20,
    portions_outstanding=3,
    n_portions=64,
    tally=Tally(portions=400, sent=4, won=2, wasted=1, retries=0),
    slow=None,
)


def status(**changes: Any) -> DownpourStatus:
    """A status of Downpour."""
    return replace(DOWNPOUR, **changes)
