"""A worker's processes know when it has been told to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.signals import worker_init, worker_shutting_down

from distbelief.worker_tasks import shutdown

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


class Worker:
    """As much of Celery's as there is to it."""

    heard: bool | None = None

    def wait_for_soft_shutdown(self) -> None:
        self.heard = shutdown.ending()


@pytest.fixture(autouse=True)
def worker() -> Iterator[Worker]:
    made = Worker()
    worker_init.send(sender=made)
    yield made
    worker_init.send(sender=Worker())


def told() -> None:
    """What Celery does when a worker gets SIGTERM."""
    worker_shutting_down.send(sender="worker@host", sig="SIGTERM", how="Warm", exitcode=0)


def test_a_worker_that_was_told_nothing_goes_on() -> None:
    assert not shutdown.ending()


def test_processes_hear_of_a_soft_shutdown_when_it_begins(worker: Worker) -> None:
    """Celery's own signal comes when it is over."""
    worker.wait_for_soft_shutdown()
    assert worker.heard


def test_a_folder_that_cannot_be_written_is_told_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutdown, "_flag", lambda: tmp_path / "missing" / "flag")
    told()
    assert "units under way cost their leases" in caplog.text
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


#: A process of billiard's that is spawned, in a program of its own.
SPAWN = """
from billiard import get_context
from celery.signals import worker_shutting_down
from distbelief.worker_tasks import shutdown

def tell(answers):
    answers.put(shutdown.ending())

if __name__ == "__main__":
    worker_shutting_down.send(sender="worker@host", sig="SIGTERM", how="Warm", exitcode=0)
    context = get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=tell, args=(answers,))
    process.start()
    print(answers.get())
    process.join()
    shutdown.forget()
"""


def test_a_process_that_was_spawned_learns_of_the_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SPAWN)
    answer = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert answer.stdout == "True\n", answer.stderr


def test_the_next_worker_of_this_process_begins_anew() -> None:
    told()
    assert shutdown.ending()
    worker_init.send(sender=Worker())
    assert not shutdown.ending()
