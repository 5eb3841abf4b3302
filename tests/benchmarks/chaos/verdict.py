"""What a finished run is held to: the undisturbed run of the same work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from safetensors.numpy import load_file

from fleet import SERVERS, Fleet
from trial import Trial

UPDATES = re.compile(r"updates applied: (\d+)(?: to (\d+))? on each of (\d+) shards, (\d+) planned")
OBJECTIVE = re.compile(r"objective (\S+),")
HELD_OUT = re.compile(r"^held-out .*, loss ([^ ,]+)", re.MULTILINE)

#: Longer than it takes to write a model that was read.
WRITING_S = 1.0


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: ``planned`` updates on each of ``n_shards``, or the ``objective`` and
    the ``losses`` on the way.
    """

    trial: Trial
    loss: float
    planned: int = 0
    n_shards: int = 0
    objective: str = ""
    losses: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: Trial) -> Reference:
        """Of a trial that nobody disturbed."""
        loss = float(_found(HELD_OUT, trial)[1])
        if trial.work.algorithm == "sandblaster":
            objective = _found(OBJECTIVE, trial)[1]
            return cls(trial, loss, objective=objective, losses=trial.losses)
        *_, shards, planned = _found(UPDATES, trial).groups()
        return cls(trial, loss, int(planned), int(shards))


@dataclass(frozen=True)
class Verdict:
    """``lost`` and ``doubled`` is by how many updates clocks are off the plan; ``loss`` is
    held-out, None where the coordinator was killed before its last words.
    """

    failure: str
    lost: int
    doubled: int
    loss: float | None


def judge(trial: Trial, reference: Reference, fleet: Fleet) -> Verdict:
    """Compare a run that ended well with the undisturbed one."""
    said = HELD_OUT.search(trial.out)
    loss = float(said[1]) if said else None
    if trial.work.algorithm == "sandblaster":
        return Verdict(_other_minimum(trial, reference), 0, 0, loss)
    assert trial.run is not None
    told = UPDATES.search(trial.out)
    clocks = [int(each) for each in told.groups()[:2] if each] if told else []
    clocks += _kept(fleet, fleet.clocks(trial.run, reference.n_shards), trial, reference.planned)
    lost = max((reference.planned - clock for clock in clocks), default=0)
    doubled = max((clock - reference.planned for clock in clocks), default=0)
    failure = f"clocks {clocks}, {reference.planned} planned" if lost or doubled else ""
    return Verdict(failure, max(0, lost), max(0, doubled), loss)


def _kept(fleet: Fleet, clocks: Sequence[int | None], trial: Trial, planned: int) -> list[int]:
    """The clocks of shards that nothing has happened to since the coordinator read the model.

    What a fault takes after that nobody misses: then what was printed has to do.
    """
    read_at = trial.model.stat().st_mtime - WRITING_S
    kept = []
    for shard, clock in enumerate(clocks):
        older = fleet.older_since.get(f"parameters{shard % SERVERS}", 0.0) > read_at
        if clock is not None and not (older and clock < planned):
            kept.append(clock)
    return kept


def _other_minimum(trial: Trial, reference: Reference) -> str:
    """Whether the printed objective, a loss on the way, or any bit of the model differs."""
    objective = OBJECTIVE.search(trial.out)
    if objective is not None and objective[1] != reference.objective:
        return f"objective {objective[1]}, undisturbed {reference.objective}"
    for iteration, loss in trial.losses.items():
        undisturbed = reference.losses.get(iteration)
        if loss != undisturbed:
            return f"loss {loss} at iteration {iteration}, undisturbed {undisturbed}"
    ours, theirs = (load_file(each.model) for each in (trial, reference.trial))
    same = all(np.array_equal(ours[name], tensor) for name, tensor in theirs.items())
    return "" if same else "the model differs from the undisturbed run's"


def _found(pattern: re.Pattern[str], trial: Trial) -> re.Match[str]:
    match = pattern.search(trial.out)
    assert match is not None, trial.out
    return match
