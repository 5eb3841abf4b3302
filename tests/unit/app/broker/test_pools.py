"""A worker of ours has processes that compute one thing at a time, or does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.concurrency import prefork, solo, thread

from distbelief.app.broker.application import (
    Application,
    PoolCheck,
    PoolRefused,
    worker_application,
)
from distbelief.app.errors import ExitCode
from distbelief.app.settings.environment import BROKER

ROOT = Path(__file__).parents[4]
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize("pool", [prefork.TaskPool, solo.TaskPool])
def test_processes_are_taken(pool: type) -> None:
    PoolCheck(SimpleNamespace(pool_cls=pool))


class Green:
    """A pool of somebody's own."""


@pytest.mark.parametrize(("pool", "name"), [(thread.TaskPool, "threads"), (Green, f"{__name__}:")])
def test_other_pools_are_refused_by_their_names(pool: type, name: str) -> None:
    with pytest.raises(
        PoolRefused, match=f"the pool {name}.* start the worker with --pool prefork"
    ):
        PoolCheck(SimpleNamespace(pool_cls=pool))


def test_a_worker_with_threads_does_not_start_and_says_why_in_one_sentence() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "distbelief", "worker", "--pool", "threads"],
        cwd=ROOT,
        env={**os.environ, BROKER: NOWHERE},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.returncode == ExitCode.USAGE
    *_, last = said.stderr.splitlines()
    assert last.startswith("error: tasks that compute need processes of their own, and the pool th")


def test_a_process_that_is_spawned_gets_its_workers_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BROKER, NOWHERE)
    ours = worker_application()
    make, words = ours.__reduce__()
    assert make(*words) is ours
    make, words = Application("redis://127.0.0.1:2/0").__reduce__()
    assert make(*words).address == Application("redis://127.0.0.1:2/0").address
    worker_application.cache_clear()
