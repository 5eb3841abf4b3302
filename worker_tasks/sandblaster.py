"""The Sandblaster task: a shift of a process, in which it computes the portions that it takes."""

from __future__ import annotations

import logging
import math
import time
import traceback
from dataclasses import replace
from functools import lru_cache

from distbelief.app.client.commands import Command
from distbelief.app.errors import DataLost, DistBeliefError, Fenced, ServerError, WorkerMismatch
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs import offers
from distbelief.app.runs.batch import BatchEvaluation, Report, ShiftNews, find, telling
from distbelief.app.runs.leadership import is_running
from distbelief.app.runs.offers import Bundle, Offer, Shift
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
from distbelief.worker_tasks.portion import Share, compute, rounded
from distbelief.worker_tasks.process import computing
from distbelief.worker_tasks.shutdown import ending
from distbelief.worker_tasks.task_clock import ChunkClock, ShiftClock, TooLong

log = logging.getLogger(__name__)

#: A shift ends when nothing was offered for so long: longer than it takes from the end of an
#: evaluation to the next one, where what a message costs matters.
IDLE_S = 0.25

#: A shift costs a message, and others wait as long for its process: those that must not wait long
#: do so for a share of a task's time.
SHIFT_S, TASK_SHARE = 0.5, 0.25


@computing()
def work_shift(run: str, fence: int, number: int) -> str:
    """Compute portions that are offered, one after another, for a while.

    Each is added to the sum on every shard once, and reported. The outcome is that of the last.
    """
    if not is_running(control_server(), run, fence):
        return "refused" if is_unknown(ledger(run)) else "fenced"
    shift = Shift(run, fence, number)
    try:
        outcome, say = _work(shift)
    except ServerError:
        raise  # nobody is there to be told
    except Exception:
        _leave(shift, [])
        raise
    _leave(shift, say)
    return outcome


def _work(shift: Shift) -> tuple[str, list[Command]]:
    """Compute portions until the time is over, or one was not as it should be."""
    clock, outcome = ShiftClock(), "nothing to do"
    say = telling(shift.run, ShiftNews(shift.fence, shift.number, over=False))
    while not ending():
        replies = control_server().call([*say, *offers.taking(shift, IDLE_S)])
        bundle, say = offers.taken(replies), []
        if not bundle:
            break
        outcome, say = _compute_bundle(shift, bundle)
        clock.note_portion()
        if outcome != "done" or clock.is_over(_limit_s(shift)):
            break
    return outcome, say


def _limit_s(shift: Shift) -> float:
    config = open_context(shift.run, shift.fence).config
    return min(SHIFT_S, TASK_SHARE * config.task_seconds)


def _leave(shift: Shift, say: list[Command]) -> None:
    """Say what there is to say, and that the shift is over, if anybody is there to hear it.

    A run often ends while its shifts wait for more: what they said then would only lie about.
    """
    servers = control_server()
    if is_running(servers, shift.run, shift.fence):
        say = [*say, *telling(shift.run, ShiftNews(shift.fence, shift.number, over=True))]
    else:
        say = []
    servers.call([*say, offers.leaving(shift)])


def _compute_bundle(shift: Shift, bundle: Bundle) -> tuple[str, list[Command]]:
    """Compute portions and add them to the sum on every shard; the outcome, and the reports.

    One after another if something goes wrong, so that each of them has its own.
    """
    if len(bundle) > 1:
        try:
            return "done", _add(shift, bundle)
        except Exception as error:  # noqa: BLE001  (who else has it hears of it below)
            log.debug("portions are computed one after another: %s", error)
    outcome, say = "done", list[Command]()
    for offer in bundle:
        if say:
            control_server().call(say)
        outcome, say = _compute(shift, offer)
        if outcome != "done":
            break
    return outcome, say


def _compute(shift: Shift, offer: Offer) -> tuple[str, list[Command]]:
    """Compute one portion; the outcome, and the report of it.

    An error is reported at once, and raised.
    """
    run, answer = shift.run, _answer(shift, offer)
    _, portion, _ = offer
    try:
        return "done", _add(shift, [offer])
    except TooLong as late:
        why = f"portion {portion} was cut short, for others wait"
        return "cut short", telling(
            run, replace(answer, error=why, cut=True, computing_s=late.whole_s)
        )
    except Fenced as reason:
        log.info("portion %d of evaluation %d: stopped, %s", portion, offer.evaluation, reason)
        return "fenced", []
    except DataLost as lost:
        # The coordinator's to mend, under a new fence; it waits for us, so it must hear of it.
        log.info("portion %d of evaluation %d: stopped, %s", portion, offer.evaluation, lost)
        return "data lost", telling(run, replace(answer, error=str(lost), lost=True))
    except Exception as error:
        # Whatever a user's model raises must reach the coordinator.
        ours = isinstance(error, DistBeliefError)
        text = str(error) if ours else traceback.format_exc()
        mismatch = isinstance(error, WorkerMismatch)
        control_server().call(telling(run, replace(answer, error=text, mismatch=mismatch)))
        raise


def _answer(shift: Shift, offer: Offer) -> Report:
    return Report(shift.fence, *offer, process_name(), shift=shift.number)


def _add(shift: Shift, bundle: Bundle) -> list[Command]:
    """The reports of portions of one evaluation, once every shard has their gradients.

    Raises TooLong.
    """
    began = time.monotonic()
    context = open_context(shift.run, shift.fence)
    task = _evaluation(shift.run, shift.fence, bundle[0].evaluation)
    found = [(_answer(shift, offer), *_share(context, task, offer.portion)) for offer in bundle]
    finite = [
        (answer.portion, rounded(share.gradient, task.quantum))
        for answer, share, _ in found
        if share.is_finite  # else the step was too long: there is no gradient to add
    ]
    counted = context.vectors.accumulate_each(task.fence, task.number, task.gradient, finite)
    answers = dict(zip((portion for portion, _ in finite), counted, strict=True))
    if any(Counted.EXPIRED in each for each in counted):
        raise Fenced(f"evaluation {task.number} is over")
    seconds, say = (time.monotonic() - began) / len(bundle), list[Command]()
    for answer, share, computing_s in found:
        refused = Counted.REFUSED in answers.get(answer.portion, (Counted.REFUSED,))
        done = replace(
            answer,
            loss=math.inf if refused else share.loss,
            largest=share.largest if share.is_finite else 0.0,
            seconds=seconds,
            computing_s=computing_s,
        )
        say += telling(shift.run, done)
    return say


def _share(context: RunContext, task: BatchEvaluation, portion: int) -> tuple[Share, float]:
    """A portion's share, and the seconds that computing it took. Raises TooLong."""
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
    return share, clock.spent_s


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
