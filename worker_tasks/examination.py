"""The answers of a worker that is asked whether it could work on a run.

Two questions (:mod:`distbelief.worker_tasks.presence`): ``examine`` is answered at once, by the
worker's main process. Whether data can be opened and a model be built is tried in a process of
its own, with the worker's environment, so that nothing is imported into the worker and it goes on
with its work; ``examined`` asks for what came of it. JSON only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.errors import DistBeliefError
from distbelief.app.models.registry import build_model
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.versions import versions
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.environment import BLAS_THREADS
from distbelief.worker_tasks.data import open_here

#: The trial that is under way, by its question: a new one ends it.
_trials: dict[str, subprocess.Popen[str]] = {}


def examine(question: str = "", config: str = "", fits: str = "") -> dict[str, Any]:
    """Tell versions, cores, clock; begin a trial if there is the JSON of a config.

    ``fits`` is the JSON of what its data must fit.
    """
    if config:
        _begin(question, config, fits)
    return {
        "versions": versions(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "threads": {name: os.environ[name] for name in BLAS_THREADS if name in os.environ},
        "time": time.time(),
    }


def examined(question: str = "", last: bool = False) -> dict[str, Any]:
    """Tell the result of a trial; ``pending`` while it goes on. The ``last`` question ends it."""
    trial = _trials.get(question)
    if trial is None:
        return {"error": "it has begun no such trial"}
    if trial.poll() is None:
        if last:
            _end()
        return {"pending": True}
    assert trial.stdout is not None
    text = trial.stdout.read()
    _end()
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        return {"error": f"the trial ended with exit code {trial.returncode}"}
    return answer


def try_run(config: RunConfig, fits: Compatibility | None = None) -> dict[str, Any]:
    """Open the data and build the model of a run, to see whether this machine can.

    ``fingerprint`` of the data, or the ``data`` error; then the ``model`` error, or digests of the
    user's ``modules`` as imported here, and the names and shapes of the model's ``tensors``.
    """
    try:
        data = open_here(config, fits)
    except DistBeliefError as error:
        return {"data": str(error)}
    answer: dict[str, Any] = {"fingerprint": data.fingerprint}
    try:
        model = build_model(config, data.dataset.schema)
    except DistBeliefError as error:
        return {**answer, "model": str(error)}
    tensors = [[each.name, list(each.shape)] for each in model.tensors]
    modules = dict(Identity.here(config).modules)
    return {**answer, "modules": modules, "tensors": tensors}


def _begin(question: str, config: str, fits: str) -> None:
    _end()
    trial = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert trial.stdin is not None
    trial.stdin.write(json.dumps([config, fits]))
    trial.stdin.close()
    _trials[question] = trial


def _end() -> None:
    """End all trials: nobody asks for these any more."""
    while _trials:
        _, trial = _trials.popitem()
        trial.kill()
        trial.wait()
        if trial.stdout is not None:
            trial.stdout.close()


if __name__ == "__main__":
    config, fits = json.load(sys.stdin)
    known = Compatibility.from_json(json.loads(fits)) if fits else None
    sys.stdout.write(json.dumps(try_run(RunConfig.model_validate_json(config), known)))
