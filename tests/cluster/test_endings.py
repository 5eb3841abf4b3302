"""However a training ends, nothing that it started outlives it."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors import safe_open

from distbelief.app.errors import ExitCode
from distbelief.app.files.checkpoint import read
from distbelief.app.models.files import read_model
from tests.cluster.processes import words_of

Start = Callable[..., Any]
Until = Callable[..., None]

#: What the kernel may take to end the children of a killed process.
KERNEL_S = 30.0
LONG = ("train", "--passes=1000000")


def started(training: Any) -> list[int]:
    """Servers, a worker and its two processes, the coordinator itself."""
    processes = [process.pid for process in training.alive()]
    assert len(processes) == 1 + 3 + 1 + 2
    return processes


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.GO_ON)],
)
def test_an_interrupted_training_saves_its_model_and_ends_what_it_started(
    number: signal.Signals, code: ExitCode, command: Start
) -> None:
    training = command(*LONG)
    training.says("held-out accuracy")
    assert started(training)
    training.process.send_signal(number)
    assert training.ends() == code
    assert training.alive() == []
    assert list(training.home.iterdir()) == []
    assert "finished: interrupted" in training.out
    assert read_model(training.model).facts["reason"] == "interrupted"
    (written,) = re.findall(r"^checkpoint: (.*)$", training.out, re.MULTILINE)
    assert "seconds" in read(Path(written)).document["driver"]
    assert f"to go on: python -m coordinator resume {training.run}" in training.out
    assert "Traceback" not in training.err


def test_an_interruption_before_the_training_ends_what_was_started(command: Start) -> None:
    training = command(*LONG)
    training.says("starting 1 control server")
    training.process.send_signal(signal.SIGINT)
    assert training.ends() == ExitCode.INTERRUPTED
    assert training.alive() == []
    assert training.err.endswith("interrupted: everything that was started has been ended\n")
    assert "Traceback" not in training.err


def test_a_second_interruption_does_not_wait_for_anything(command: Start) -> None:
    training = command(*LONG)
    training.says("held-out accuracy")
    for _ in range(3):
        training.process.send_signal(signal.SIGINT)
    assert training.ends() == ExitCode.INTERRUPTED
    assert training.alive() == []
    assert "Traceback" not in training.err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of the killed")
def test_the_kernel_ends_what_a_killed_coordinator_started(command: Start, until: Until) -> None:
    training = command(*LONG)
    training.says("held-out accuracy")
    assert started(training)
    training.process.kill()
    until(lambda: training.alive() == [], "the end of all processes", KERNEL_S)


def test_a_training_whose_worker_was_killed_starts_another_and_goes_on(
    command: Start, until: Until
) -> None:
    training = command(*LONG, "--lease-seconds=1")
    training.says("held-out accuracy")
    (worker,) = workers(training)
    os.killpg(worker.pid, signal.SIGKILL)
    training.says("worker ended with exit code -9: started again")
    # Units that the killed one had are sent again, if it had any: it may have been between two.
    before = passes(training)
    until(lambda: passes(training) >= before + 2, "progress after the killing")
    assert worker not in workers(training)
    training.process.send_signal(signal.SIGINT)
    assert training.ends() == ExitCode.INTERRUPTED
    assert training.alive() == []
    assert "Traceback" not in training.err


def test_a_training_whose_worker_is_killed_again_and_again_says_so_and_ends_the_rest(
    command: Start, until: Until
) -> None:
    training = command(*LONG)
    training.says("held-out accuracy")
    killed: set[psutil.Process] = set()

    def kill_the_next() -> bool:
        for worker in set(workers(training)) - killed:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            killed.add(worker)
        return training.process.poll() is not None

    until(kill_the_next, "the end of the training")
    assert training.ends() == ExitCode.SERVER
    assert training.alive() == []
    assert training.err.count("worker ended with exit code -9: started again") == len(killed) - 1
    assert re.search(
        r"^error: worker ended with exit code -9; its log .*worker\.log", training.err, re.M
    )
    assert f"to go on from it: python -m coordinator resume {training.run}" in training.err
    assert "Traceback" not in training.err


def workers(training: Any) -> list[psutil.Process]:
    """The main processes of its Celery workers."""
    return [
        p for p in training.alive() if child_of(training, p) and "celery" in " ".join(words_of(p))
    ]


def child_of(training: Any, process: psutil.Process) -> bool:
    try:
        return bool(process.ppid() == training.process.pid)
    except psutil.Error:
        return False


def passes(training: Any) -> float:
    """How far it has come."""
    return float(re.findall(r"^pass ([\d.]+)/", training.err, re.MULTILINE)[-1])


def test_a_model_that_raises_ends_the_training_with_its_own_traceback_once(command: Start) -> None:
    training = command("train", "--model=usermodels:Failing", "--unit-attempts=2", "--replicas=1")
    assert training.ends() == ExitCode.WORK_FAILED
    assert training.alive() == []
    (message,) = re.findall(r"^error: .*$", training.err, re.MULTILINE)
    assert re.match(
        r"error: unit downpour-0-90 failed 2 times, last on worker \d+@\S+: "
        r"ArithmeticError: my own mistake$",
        message,
    )
    assert training.err.count("Traceback") == 1
    assert training.err.count("in fail\n") == 1


def test_a_model_of_ones_own_trains(command: Start) -> None:
    training = command(
        "train",
        *("--model=usermodels:Own", "--model-option=rate=0.5", "--passes=10"),
    )
    assert training.ends() == ExitCode.OK, training.err
    (accuracy,) = re.findall(r"^held-out accuracy ([\d.]+)", training.out, re.MULTILINE)
    assert float(accuracy) > 0.8
    with safe_open(training.model, framework="numpy") as file:
        assert '"model":"usermodels:Own"' in file.metadata()["model"]
