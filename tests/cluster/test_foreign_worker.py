"""A worker of another application that runs our tasks, too, stays that application's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end, import_path
from distbelief.coordinator.runs.messages import Messages

Start = Callable[..., Any]
Until = Callable[..., None]

#: Joined by an application with a task of its own, which looks around in its process.
SHOP = """
import ctypes, json, logging, os, signal, threading

import numpy
from celery import Celery, current_app
from threadpoolctl import threadpool_info
from distbelief.celery import join

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.broker_transport_options = {"global_keyprefix": "PREFIX"}
app.conf.worker_prefetch_multiplier = 1
join(app, {name: name for name in ("downpour", "sandblaster", "evaluation")})
kept = []

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                 "uordblks", "fordblks", "keepcost")]

def mapped():
    "Whether memory for a large array comes from the kernel, as glibc begins."
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    before = mallinfo().hblks
    kept.append(numpy.empty((16 + len(kept)) << 20, numpy.uint8))
    return mallinfo().hblks > before

@app.task(name="shop.look", ignore_result=True)
def look(file):
    numpy.zeros((2, 2)) @ numpy.zeros((2, 2))
    state = {
        "process": os.getpid(),
        "application": current_app.main,
        "environment": dict(os.environ),
        "threads": sorted(each["num_threads"] for each in threadpool_info()),
        "mapped": mapped(),
        "handlers": [repr(signal.getsignal(number)) for number in (2, 15, 17)],
        "logging": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "running": sorted(each.name for each in threading.enumerate()),
    }
    with open(file + ".part", "w") as made:
        json.dump(state, made)
    os.rename(file + ".part", file)
"""

#: More than one, on every machine.
THREADS = 2
STEP_S = 0.02


def broker_of(fleet: LocalCluster) -> str:
    """As Celery wants it."""
    return fleet.endpoints.broker.replace("unix://", "redis+socket://")


@pytest.fixture
def shop(fleet: LocalCluster, tmp_path: Path, until: Until) -> Iterator[Child]:
    """The other application's worker, with one process."""
    (tmp_path / "shop.py").write_text(SHOP.replace("PREFIX", CELERY_PREFIX))
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--concurrency=1"]
    command += ["-Q", "celery,downpour,sandblaster,evaluation", "--loglevel=INFO"]
    variables = {
        **fleet.environment,
        "SHOP_BROKER": broker_of(fleet),
        "OPENBLAS_NUM_THREADS": str(THREADS),
        "PYTHONPATH": f"{tmp_path}:{import_path()}",
    }
    started = Child.start("shop", command, tmp_path, variables)
    try:
        with closing(Messages(fleet.endpoints.broker)) as messages:
            until(messages.queues_served, f"the answer of the worker ({started.log})")
        yield started
    finally:
        end([started], 5.0)


@pytest.fixture
def look(fleet: LocalCluster, tmp_path: Path, until: Until) -> Iterator[Callable[[str], Any]]:
    """Has the other application's task look around in its process, and returns what it found."""
    app = Celery("shop", broker=broker_of(fleet), set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": CELERY_PREFIX}

    def ask(name: str) -> Any:
        file = tmp_path / name
        app.send_task("shop.look", [str(file)])
        until(file.exists, f"what the shop's task found ({name})")
        return json.loads(file.read_text())

    yield ask
    app.close()


@pytest.mark.skipif(sys.platform != "linux", reason="it asks glibc's allocator")
@pytest.mark.usefixtures("shop")
def test_its_process_is_as_it_was_whenever_a_unit_of_ours_is_over(
    fleet: LocalCluster, look: Callable[[str], Any], command: Start, until: Until
) -> None:
    before = look("before")
    assert before["application"] == "shop"
    assert set(before["threads"]) == {THREADS}
    assert before["mapped"]

    words = ["--model=slowmodels:Sleepy", f"--model-option=seconds={STEP_S}"]
    words += ["--data=synthetic:softmax", "--replicas=1", "--passes=3", "--unit-steps=10"]
    training = command("train", *words, endpoints=fleet.endpoints)
    training.says("pass")
    between = look("between")
    assert training.process.poll() is None, training.err
    assert training.ends() == 0, training.err

    words = ["--algorithm=sandblaster", "--iterations=3", "--model=softmax"]
    batch = command("train", *words, endpoints=fleet.endpoints)
    assert batch.ends() == 0, batch.err
    assert {"between": between, "after": look("after")} == {"between": before, "after": before}
