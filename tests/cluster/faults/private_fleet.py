"""Runs on servers of their own with a worker of their own, and how far they are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from distbelief.app.client.servers import Servers
from distbelief.app.runs import events
from distbelief.coordinator.cluster.processes import Child, end, import_path

DEADLINE_S = 120.0
POLL_S = 0.05


#: Of our own application; a team's is called otherwise, and has queues of its own.
OURS = ("distbelief",)


def start_worker(
    folder: Path,
    processes: int,
    environment: Mapping[str, str],
    name: str = "worker",
    app: Sequence[str] = OURS,
) -> Child:
    """Start a worker that may import the models of these tests, with its log in ``folder``.

    ``app`` is its application, and the flags that name its queues.
    """
    of, *queues = app
    command = [sys.executable, "-P", "-m", "celery", "-A", of, "worker", *queues]
    command += ["--pool=prefork", f"--concurrency={processes}", f"--hostname={name}@%h"]
    command += ["--without-gossip", "--without-mingle", "--loglevel=INFO"]
    own = {"DISTBELIEF_ALLOWED_IMPORTS": "slowmodels", "PYTHONPATH": import_path()}
    path = os.pathsep.join([str(Path(__file__).parents[1]), own["PYTHONPATH"]])
    variables = {**os.environ, **own, "PYTHONPATH": path, **environment}
    return Child.start(name, command, folder, variables)


@contextmanager
def worker(folder: Path, processes: int, environment: Mapping[str, str]) -> Iterator[Child]:
    """A worker that ends with the context."""
    child = start_worker(folder, processes, environment)
    try:
        yield child
    finally:
        end([child], 0.0)


def pool(worker: Child) -> set[int]:
    """Processes of a worker and its pool."""
    main = worker.process.pid
    return {main, *(each.pid for each in psutil.Process(main).children())}


def progress(control: Servers, runs: Sequence[str]) -> None:
    """Wait until each of ``runs`` has finished a unit or an iteration from now on."""
    began, going = time.time(), set[str]()
    while len(going) < len(runs):
        for run in runs:
            for at_ms, kind, fields in events.read(control, run):
                assert kind != "end", f"{run} ended: {fields}"
                if kind in {"unit", "iteration"} and at_ms >= 1000 * began:
                    going.add(run)
        assert time.time() < began + DEADLINE_S, f"no progress of {set(runs) - going}"
        time.sleep(POLL_S)
