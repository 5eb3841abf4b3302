"""A worker's processes know when it has been told to end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.signals import worker_init, worker_shutting_down

from distbelief.worker_tasks import shutdown

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def _running() -> Iterator[None]:
    shutdown.begin()
    yield
    shutdown.begin()


def told() -> None:
    """What Celery does when a worker gets SIGTERM."""
    worker_shutting_down.send(sender="worker@host", sig="SIGTERM", how="Warm", exitcode=0)


def test_a_worker_that_was_told_nothing_goes_on() -> None:
    assert not shutdown.ending()


#: In a process of its own: one with threads, as that of the tests may be, must not fork.
FORK = """
import os
from celery.signals import worker_shutting_down
from distbelief.worker_tasks import shutdown

read, write = os.pipe()
if os.fork() == 0:
    os.read(read, 1)
    print(shutdown.ending(), flush=True)
    os._exit(0)
worker_shutting_down.send(sender="worker@host", sig="SIGTERM", how="Warm", exitcode=0)
os.write(write, b"?")
os.wait()
"""


def test_a_process_that_was_forked_before_learns_of_the_end() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FORK], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert answer.stdout == "True\n", answer.stderr


def test_the_next_worker_of_this_process_begins_anew() -> None:
    told()
    assert shutdown.ending()
    worker_init.send(sender=None)
    assert not shutdown.ending()
