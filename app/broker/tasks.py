"""Our Celery tasks as an application has them: names, options, and where the code is.

What is registered is light: whoever only sends messages, as a web process of a team's, imports no
NumPy for it. What a task needs it carries itself, whatever the settings and the annotations of the
application around it say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from celery import Celery, Task

from distbelief.app.broker.messages import (
    CALIBRATION,
    DOWNPOUR,
    EVALUATION,
    SANDBLASTER,
    fits,
    task_of,
)

log = logging.getLogger(__name__)

#: The module and the function of each kind of task.
CODE = {
    DOWNPOUR: ("distbelief.worker_tasks.downpour", "run_unit"),
    SANDBLASTER: ("distbelief.worker_tasks.sandblaster", "work_shift"),
    EVALUATION: ("distbelief.worker_tasks.evaluation", "evaluate"),
    CALIBRATION: ("distbelief.worker_tasks.calibration", "measure"),
}

#: All that a worker of our tasks imports before it begins: the code, and what answers questions.
MODULES = (*(module for module, _ in CODE.values()), "distbelief.worker_tasks.presence")


class UnitTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task whose truth is in the ledger: its message is a hint, and its result of no use."""

    #: With late acknowledgement a worker that is restarted would begin it a second time.
    acks_late = False
    reject_on_worker_lost = False
    acks_on_failure_or_timeout = True
    ignore_result = True
    store_errors_even_if_ignored = False
    serializer = "json"
    rate_limit = 0
    max_retries = 0
    #: Whoever sends has no need of the code, and a worker looks at arguments itself.
    typing = False

    @classmethod
    def annotate(cls) -> None:
        """Take no annotations: those for all tasks of an application are for its own."""


def register(app: Celery) -> None:
    """Give an application our tasks, and no other application that is in this process."""
    for kind in CODE:
        app.task(base=UnitTask, name=task_of(kind), shared=False)(_runner(kind))


def import_code() -> None:
    """Import what a worker runs."""
    for module in MODULES:
        import_module(module)


def _runner(kind: str) -> Callable[..., str]:
    def run(*arguments: Any, **words: Any) -> str:
        if words or not fits(kind, arguments):
            log.error("a message for %s was refused: its arguments are not ours", task_of(kind))
            return "refused"
        return str(_function(kind)(*arguments))

    return run


@cache
def _function(kind: str) -> Callable[..., str]:
    module, name = CODE[kind]
    found: Callable[..., str] = getattr(import_module(module), name)
    return found
