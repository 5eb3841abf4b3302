"""A run of a given name: begun where there is none, gone on with where there is.

So that whatever restarts programs, such as a Job of Kubernetes, may start the same command again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distbelief.app.errors import ConfigError, RunUnknown
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.ids import check_id
from distbelief.coordinator.runs.resumption import Found
from distbelief.coordinator.training import training

#: Settings of which a run that goes on takes no notice.
UNHEEDED = ("name", "note")

#: Differences that a sentence tells.
MOST_TOLD = 3


def find(run: str, cluster: ClusterConfig) -> Found | None:
    """The run of that name, None if there is none.

    Raises:
        RunDamaged: no run can be called so, or what was written down of it cannot be.
        ServerUnreachable: its control server, or where copies of checkpoints are, does not answer.
    """
    check_id(run)
    try:
        return resumption.find(run, cluster.model_dump(exclude_unset=True))
    except RunUnknown:
        return None


def go_on(found: Found, callbacks: Callbacks) -> Outcome:
    """Go on with a run; raises like ``resume``."""
    problem = resumption.prepare_again(found, take_over=False)
    for name in resumption.changed_modules(found.record):
        callbacks.say(f"warning: {name} has changed since the run began, it trains on as it is")
    return training.resume(problem, found.cluster, found.folder, callbacks, take_over=False)


def check_same(record: RunRecord, problem: Problem) -> None:
    """Check that a run was begun with ``problem``.

    Raises:
        ConfigError: it was begun with other settings, of which the sentence tells some.
        DataError: its data have changed since.
    """
    if others := list(_differences(record, problem.config)):
        more = f" and {len(others) - MOST_TOLD} more" if len(others) > MOST_TOLD else ""
        raise ConfigError(
            f"run {record.run} was begun with {', '.join(others[:MOST_TOLD])}{more}: go on with "
            "these settings, or choose another name"
        )
    resumption.check_data(record, problem)


def _differences(record: RunRecord, now: RunConfig) -> Iterator[str]:
    chosen = {*record.chosen} - now.model_fields_set
    for name in RunConfig.model_fields:
        before, after = getattr(record.config, name), getattr(now, name)
        if name not in {*UNHEEDED, *chosen} and after not in (before, "auto"):
            yield f"{name} = {_shown(before)}, not {_shown(after)}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
