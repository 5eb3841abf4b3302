"""One trial in a process of its own: ``python -m distbelief.coordinator.comparison.trial FILE``.

The file holds a :class:`Request` as JSON; the outcome is written as JSON beside it. What ends the
process otherwise, its parent counts as a crash.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distbelief.app.errors import DistBeliefError, Diverged
from distbelief.app.files.atomic import replacing
from distbelief.app.models.imports import allow_imports_of
from distbelief.app.settings.config import ClusterConfig, configure
from distbelief.app.settings.rounds import RoundSettings
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.comparison.alone import Alone, costs
from distbelief.coordinator.comparison.meter import Meter
from distbelief.coordinator.comparison.outcome import End, Outcome, Trial
from distbelief.coordinator.comparison.recording import Recorder, points
from distbelief.coordinator.comparison.snapshots import Snapshots
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.training import training

#: How long the keys of a run stay on servers that are not ours, whatever it came to.
KEPT = "1m"


@dataclass(frozen=True)
class Request:
    """What a trial is to do.

    ``settings`` are those of the run; ``endpoints`` the servers of it, None for a process alone,
    with ``n_workers`` Celery workers; ``output`` is the file of the outcome.
    """

    trial: Trial
    settings: Mapping[str, Any]
    budget_s: float
    endpoints: Endpoints | None
    n_workers: int
    output: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Request:
        at = document["endpoints"]
        endpoints = at and Endpoints(**{**at, "parameter_servers": (*at["parameter_servers"],)})
        trial = Trial(**document["trial"])
        return cls(**{**document, "trial": trial, "endpoints": endpoints})


def run(request: Request) -> Outcome:
    """Make a trial; errors of ours are outcomes, others are raised."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=Path(request.output).parent) as folder:
        try:
            if request.endpoints is None:
                return _alone(request, Path(folder))
            return _on_servers(request, request.endpoints, Path(folder))
        except DistBeliefError as error:
            return Outcome(request.trial, End.CRASHED, str(error), ())


def _alone(request: Request, folder: Path) -> Outcome:
    # Tables would only cost here: all parameters are at hand. Nobody is there to have rounds with.
    none = dict.fromkeys(RoundSettings.model_fields)
    config, _ = configure({**request.settings, "table_numbers": 2**62, **none})
    allow_imports_of(config)
    problem, snapshots = prepare(config, 1), Snapshots(folder)
    process = Alone(problem, snapshots, request.budget_s)
    end, why = End.ENDED, ""
    try:
        why = process.run().value
    except Diverged as error:
        end, why = End.DIVERGED, str(error)
    found = points(problem, snapshots, process.records, costs)
    return Outcome(request.trial, end, why, tuple(found))


def _on_servers(request: Request, endpoints: Endpoints, folder: Path) -> Outcome:
    runs = folder / "runs"
    runs.mkdir()
    config, cluster = configure(
        {
            **request.settings,
            **endpoints.settings(),
            "folder": str(runs),
            "keep_on_servers": KEPT,
        }
    )
    allow_imports_of(config)
    problem, snapshots = prepare(config, len(endpoints.parameter_servers)), Snapshots(folder)
    with Meter(endpoints) as meter:
        recorder = Recorder(endpoints, meter, snapshots, runs)
        with closing(recorder):
            end, why = _trained(problem, cluster, recorder)
    found = points(problem, snapshots, recorder.records, meter.costs)
    return Outcome(request.trial, end, why, tuple(found))


def _trained(problem: Problem, cluster: ClusterConfig, recorder: Recorder) -> tuple[End, str]:
    """How the training ended, and why."""
    try:
        reason = training.train(problem, cluster, recorder.callbacks).reason
    except Diverged as error:
        return End.DIVERGED, str(error)
    except DistBeliefError as error:
        return End.CRASHED, str(error)
    return (End.DIVERGED if reason is EndReason.DIVERGED else End.ENDED), reason.value


def main() -> None:
    request = Request.from_json(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    outcome = run(request)
    with replacing(Path(request.output)) as partial:
        partial.write_text(json.dumps(outcome.to_json()), "utf-8")


if __name__ == "__main__":
    main()
