"""What a finished run is held to: the undisturbed run of the same work."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file

from fleet import Fleet
from trial import Trial

UPDATES = re.compile(r"updates applied: (\d+)(?: to (\d+))? on each of (\d+) shards, (\d+) planned")
OBJECTIVE = re.compile(r"objective (\S+),")
HELD_OUT = re.compile(r"^held-out .*, loss ([^ ,]+)", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: ``planned`` updates on each of ``n_shards``, or the ``objective``."""

    trial: Trial
    loss: float
    planned: int = 0
    n_shards: int = 0
    objective: str = ""

    @classmethod
    def of(cls, trial: Trial) -> Reference:
        """Of a trial that nobody disturbed."""
        loss = float(_found(HELD_OUT, trial)[1])
        if trial.work.algorithm == "sandblaster":
            return cls(trial, loss, objective=_found(OBJECTIVE, trial)[1])
        *_, shards, planned = _found(UPDATES, trial).groups()
        return cls(trial, loss, int(planned), int(shards))


@dataclass(frozen=True)
class Verdict:
    """``doubled`` is by how many updates clocks are beyond the plan; ``loss`` is held-out,
    None where the coordinator was killed before its last words.
    """

    failure: str
    doubled: int
    loss: float | None


def judge(trial: Trial, reference: Reference, fleet: Fleet) -> Verdict:
    """Compare a run that ended well with the undisturbed one."""
    said = HELD_OUT.search(trial.out)
    loss = float(said[1]) if said else None
    if trial.work.algorithm == "sandblaster":
        return Verdict(_other_minimum(trial, reference), 0, loss)
    assert trial.run is not None
    told = UPDATES.search(trial.out)
    # A fault after the end may have taken what the shards knew: then the summary has to do.
    clocks = [each for each in fleet.clocks(trial.run, reference.n_shards) if each is not None]
    clocks += [int(each) for each in told.groups()[:2] if each] if told else []
    wrong = [clock for clock in clocks if clock != reference.planned]
    doubled = max([clock - reference.planned for clock in wrong], default=0)
    failure = f"clocks {clocks}, {reference.planned} planned" if wrong else ""
    return Verdict(failure, max(0, doubled), loss)


def _other_minimum(trial: Trial, reference: Reference) -> str:
    """Whether the printed objective or any bit of the model differs."""
    objective = OBJECTIVE.search(trial.out)
    if objective is not None and objective[1] != reference.objective:
        return f"objective {objective[1]}, undisturbed {reference.objective}"
    ours, theirs = (load_file(each.model) for each in (trial, reference.trial))
    same = all(np.array_equal(ours[name], tensor) for name, tensor in theirs.items())
    return "" if same else "the model differs from the undisturbed run's"


def _found(pattern: re.Pattern[str], trial: Trial) -> re.Match[str]:
    match = pattern.search(trial.out)
    assert match is not None, trial.out
    return match
