"""The calibration task: what a step, an exchange, a portion and the way to the servers cost here.

It is a unit like any other, claimed and reported in the ledger, and says in its specification what
to measure and for how many seconds. Arrays are made here; only lists of numbers travel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import current_task

from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import RunContext, ledger, open_context
from distbelief.worker_tasks.exchange_costs import exchange_costs
from distbelief.worker_tasks.lease import Lease, process_name, work
from distbelief.worker_tasks.link_speed import link_speed
from distbelief.worker_tasks.observations import until
from distbelief.worker_tasks.portion_costs import portion_costs
from distbelief.worker_tasks.process import computing
from distbelief.worker_tasks.step_costs import step_costs
from distbelief.worker_tasks.usage import children_seconds

#: Between two looks of a process that has nothing to do: what they cost counts for those that work.
LOOK_S = 0.5

#: What is measured: of a context, under a token, with the words of the specification.
Measure = Callable[[RunContext, Token, dict[str, Any], Callable[[], None]], dict[str, Any]]


def idle(
    context: RunContext, _: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Keep this process from other work until nobody follows the unit any more, or for so long."""
    units = ledger(context.record.run)
    for _number in until(words["seconds"], check):
        if not units.read([words["unit"]]):
            break
        time.sleep(LOOK_S)
    return {}


MEASURES: dict[str, Measure] = {
    "nothing": lambda *_: {},
    "idling": idle,
    "steps": step_costs,
    "exchanges": exchange_costs,
    "portions": portion_costs,
    "link": link_speed,
}


@computing()
def measure(run: str, unit: str) -> str:
    """Measure what the unit's specification names, for as long as it says."""

    def do(lease: Lease) -> dict[str, Any]:
        claim = lease.claim
        context = open_context(run, claim.fence)
        token = Token(claim.fence, claim.specification["subset"], claim.attempt)
        name = claim.specification["measure"]
        found = MEASURES[name](context, token, claim.specification, lease.check)
        return {**_who(), "process_cpu_s": time.process_time(), **found}

    return work(ledger(run), unit, do)


def _who() -> dict[str, Any]:
    """The worker, this process of it, its machine's cores and load.

    And what its main process took, and all processes that compute for it: CPU seconds, None where
    the system does not tell.
    """
    return {
        "worker": str(current_task.request.hostname),
        "process": process_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        "main_cpu_s": _main_cpu_s(),
        "pool_cpu_s": children_seconds(str(os.getppid())),
        "load": os.getloadavg()[0],
    }


def _main_cpu_s() -> float | None:
    try:
        spent_ns = Path(f"/proc/{os.getppid()}/schedstat").read_text().split()[0]
    except (OSError, IndexError):
        return None
    return int(spent_ns) / 1e9
