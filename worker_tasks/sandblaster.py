"""The Sandblaster task: one portion of one evaluation."""

from __future__ import annotations

import logging
import math
import time
import traceback
from dataclasses import replace
from functools import lru_cache

from distbelief.app.errors import DataLost, DistBeliefError, Fenced, WorkerMismatch
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs.batch import BatchEvaluation, Report, find, report
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.standings import from_json
from distbelief.worker_tasks.context import (
    OPEN_RUNS,
    RunContext,
    control_server,
    ledger,
    open_context,
)
from distbelief.worker_tasks.kept import kept
from distbelief.worker_tasks.lease import is_unknown, process_name
from distbelief.worker_tasks.portion import compute, rounded
from distbelief.worker_tasks.process import computing
from distbelief.worker_tasks.task_clock import ChunkClock, TooLong

log = logging.getLogger(__name__)


@computing()
def compute_portion(run: str, fence: int, evaluation: int, portion: int, dispatch: int) -> str:
    """Compute a portion, add it to the sum on every shard once, and report it."""
    answer = Report(fence, evaluation, portion, dispatch, process_name())
    began = time.monotonic()
    try:
        loss, largest, computing_s = _add(
            open_context(run, fence), _evaluation(run, fence, evaluation), portion
        )
    except TooLong as late:
        why = f"portion {portion} was cut short, for others wait"
        late_answer = replace(answer, error=why, cut=True, computing_s=late.whole_s)
        report(control_server(), run, late_answer)
        return "cut short"
    except Fenced as reason:
        if is_unknown(ledger(run)):
            return "refused"
        log.info("portion %d of evaluation %d: stopped, %s", portion, evaluation, reason)
        return "fenced"
    except DataLost as lost:
        # The coordinator's to mend, under a new fence; it waits for us, so it must hear of it.
        log.info("portion %d of evaluation %d: stopped, %s", portion, evaluation, lost)
        report(control_server(), run, replace(answer, error=str(lost), lost=True))
        return "data lost"
    except Exception as error:
        # Whatever a user's model raises must reach the coordinator.
        ours = isinstance(error, DistBeliefError)
        text = str(error) if ours else traceback.format_exc()
        mismatch = isinstance(error, WorkerMismatch)
        report(control_server(), run, replace(answer, error=text, mismatch=mismatch))
        raise
    seconds = time.monotonic() - began
    done = replace(answer, loss=loss, largest=largest, seconds=seconds, computing_s=computing_s)
    report(control_server(), run, done)
    return "done"


def _add(context: RunContext, task: BatchEvaluation, portion: int) -> tuple[float, float, float]:
    """Loss and largest number of a portion, once every shard has its gradient, and the seconds
    that computing it took.

    Raises TooLong.
    """
    point, n_train = _parameters(context, task), len(context.data.train)
    clock = ChunkClock(context.config.task_seconds, math.ceil(n_train / task.portions))
    share = compute(
        context.model,
        context.data.dataset,
        context.portion(portion, task.portions),
        point,
        n_examples=n_train,
        penalty=context.penalty if portion == 0 else None,
        before_chunk=clock.look,
    )
    computing_s = clock.spent_s
    if not (math.isfinite(share.loss) and math.isfinite(share.largest)):
        return math.inf, 0.0, computing_s  # the step was too long: there is no gradient to add
    answers = context.vectors.accumulate(
        task.fence, task.number, task.gradient, portion, rounded(share.gradient, task.quantum)
    )
    if Counted.EXPIRED in answers:
        raise Fenced(f"evaluation {task.number} is over")
    loss = math.inf if Counted.REFUSED in answers else share.loss
    return loss, share.largest, computing_s


@lru_cache(maxsize=OPEN_RUNS)
def _evaluation(run: str, fence: int, number: int) -> BatchEvaluation:
    """The evaluation of that number, read once by each process; Fenced if it is over.

    Whether one that is not there is over or lost, its coordinator knows: raises DataLost.
    """
    task = find(control_server(), run, number)
    if task is None:
        raise DataLost(f"the control server does not know evaluation {number}")
    if task.fence != fence:
        raise Fenced(f"evaluation {number} is over")
    return task


@kept(OPEN_RUNS)
def _parameters(context: RunContext, task: BatchEvaluation) -> Vector:
    """The parameters of an evaluation, fetched once by each process."""
    known = from_json(task.known, context.record.layout.n_shards)
    return context.vectors.fetch(task.point, known=known).vector
