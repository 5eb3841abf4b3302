"""What a worker of a team's application does for our tasks, whatever its settings are."""

from __future__ import annotations

import heapq
from typing import Any

from celery import bootsteps

from distbelief.app.broker.messages import task_of
from distbelief.app.broker.tasks import CODE

#: A task without a limit would have that of the worker. Nobody waits for a unit for so long: its
#: lease would have run out, or its coordinator given up.
LONGEST_S = 86_400.0

#: How often timers are removed that nobody waits for.
PRUNED_EVERY_S = 10.0


class NoTimeLimits(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Keeps a worker's time limits from our tasks: a unit is not to be cut off."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **words: Any) -> None:
        super().__init__(worker, **words)
        self.enabled = bool(worker.time_limit or worker.soft_time_limit)
        if self.enabled:
            for kind in CODE:
                task = worker.app.tasks[task_of(kind)]
                task.time_limit = task.soft_time_limit = LONGEST_S

    def include_if(self, worker: Any) -> bool:
        return self.enabled

    def register_with_event_loop(self, _: Any, hub: Any) -> None:
        """Forget timers of tasks that have ended: kombu would keep each until its time comes."""

        def prune() -> None:
            waiting = hub.timer._queue
            waiting[:] = [each for each in waiting if not each[2].canceled]
            heapq.heapify(waiting)

        hub.call_repeatedly(PRUNED_EVERY_S, prune)
