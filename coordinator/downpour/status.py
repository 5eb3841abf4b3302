"""The status of a Downpour run, put together from its parts."""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.coordinator.downpour.reports import Reports
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.status import DownpourStatus
from distbelief.coordinator.runs.heldout import HeldoutEvaluations
from distbelief.coordinator.runs.session import Session


def status_of(
    session: Session,
    problem: Problem,
    plan: UnitPlan,
    reports: Reports,
    evaluations: HeldoutEvaluations,
    *,
    counts: Sequence[ShardCounts],
    n_out: int,
    seconds: float,
) -> DownpourStatus:
    """How a run stands after ``seconds`` of training.

    ``counts`` are the shards' updates as they were last seen; ``n_out`` units are out.
    """
    dispatcher, history = session.dispatcher, evaluations.history
    replicas, at_work = problem.config.n_replicas, dispatcher.workers
    reports.goodput.see(seconds, max(session.processes, at_work))
    counted = min((shard.applied for shard in counts), default=0) * plan.config.push_interval
    return DownpourStatus(
        passes=plan.passes_done,
        total_passes=session.config.n_passes,
        steps=plan.steps_done,
        total_steps=plan.total_steps,
        examples=round(plan.passes_done * problem.n_train),
        seconds=seconds,
        limit_s=session.config.max_seconds,
        training_loss=reports.training_loss,
        evaluation=history[-1] if history else None,
        best=evaluations.best,
        shards=counts,
        staleness=reports.staleness,
        waited_s=reports.waited_s,
        workers=at_work,
        wanted=min(n_out, max(replicas, at_work)),
        goodput=reports.goodput.share(min(counted, plan.total_steps)),
        units_in_flight=n_out,
        resent=dispatcher.resent,
        idle_s=dispatcher.idle_s,
        oldest=dispatcher.oldest,
        warming=plan.warming,
        network=reports.network,
    )
