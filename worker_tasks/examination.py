"""The answers of a worker that is asked whether it could work on a run.

Two questions (:mod:`distbelief.worker_tasks.presence`): ``examine`` is answered at once, by the
worker's main process. Whether data can be opened and a model be built is tried in a process of
its own, with the worker's environment, so that nothing is imported into the worker and it goes on
with its work; ``examined`` asks for what came of it. JSON only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from distbelief.app.broker.joining import served_control_url
from distbelief.app.client.addresses import ServerAddress, address
from distbelief.app.client.loopback import is_loopback
from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.cache.upkeep import cache_limit, entries
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.reading.access import data_roots
from distbelief.app.errors import DistBeliefError
from distbelief.app.models.imports import load
from distbelief.app.models.registry import build_model
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.versions import versions
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.environment import BLAS_THREADS
from distbelief.worker_tasks.data import open_here

#: The trial that is under way, by its question: a new one ends it.
_trials: dict[str, subprocess.Popen[str]] = {}


def examine(
    question: str = "", config: str = "", fits: str = "", staged: str = ""
) -> dict[str, Any]:
    """Tell versions, cores, clock; begin a trial if there is the JSON of a config.

    ``fits`` is the JSON of what its data must fit; ``staged`` that of the schema of data which will
    be fetched.
    """
    if config:
        _begin(question, [config, fits, staged])
    return {
        "versions": versions(),
        "open_to": "" if data_roots() is not None else _reached_beyond(),
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


def try_run(
    config: RunConfig, fits: Compatibility | None = None, staged: Schema | None = None
) -> dict[str, Any]:
    """Open the data and build the model of a run, to see whether this machine can.

    ``fingerprint`` and size of the data, or the ``data`` error, and the ``cache`` in which they
    lie; then the ``model`` error, or digests of the user's ``modules`` as imported here, and the
    names and shapes of the model's ``tensors``. Data that are ``staged`` are not looked for.
    """
    folder = default_cache_folder()
    if staged is not None:
        return {"cache": _room(folder), **_try_model(config, staged)}
    before = {each.path for each in entries(folder)}
    try:
        data = open_here(config, fits)
    except DistBeliefError as error:
        return {"data": str(error), **_try_imports(config)}
    dataset = data.dataset
    return {
        "fingerprint": data.fingerprint,
        "examples": dataset.n_examples,
        "cache": {"folder": str(folder), "there": dataset.folder in before},
        **_try_model(config, dataset.schema),
    }


def _try_imports(config: RunConfig) -> dict[str, Any]:
    """The error of the user's modules, without data to build a model for."""
    try:
        for path in (config.model, config.module, config.loss):
            if path is not None and ":" in path:
                load(path)
    except DistBeliefError as error:
        return {"model": str(error)}
    return {}


def _room(folder: Path) -> dict[str, Any]:
    """The cache of this machine, and whether there is room in it."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
    return {"folder": str(folder), "free": min(free, cache_limit()), "writable": writable}


def _reached_beyond() -> str:
    """The control server, if others than this machine reach it; empty if it is ours alone."""
    control = ServerAddress.parse(served_control_url())
    alone = control.scheme == "unix" or is_loopback(control.host)
    return "" if alone else f"whoever may write to {address(served_control_url())}"


def _try_model(config: RunConfig, schema: Schema) -> dict[str, Any]:
    try:
        model = build_model(config, schema)
    except DistBeliefError as error:
        return {"model": str(error)}
    tensors = [[each.name, list(each.shape)] for each in model.tensors]
    modules = dict(Identity.here(config).modules)
    return {"modules": modules, "tensors": tensors}


def _begin(question: str, words: list[str]) -> None:
    _end()
    trial = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert trial.stdin is not None
    trial.stdin.write(json.dumps(words))
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
    config, fits, staged = json.load(sys.stdin)
    known = Compatibility.from_json(json.loads(fits)) if fits else None
    schema = Schema.from_json(json.loads(staged)) if staged else None
    tried = try_run(RunConfig.model_validate_json(config), known, schema)
    sys.stdout.write(json.dumps(tried))
