"""A team's own Celery projects, in folders of their own, and workers of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from distbelief.coordinator.cluster.processes import import_path

START_S, END_S = 60.0, 10.0
POLL_S = 0.05

#: With settings that ours would not work with, all of which stay theirs.
SHOP = """
import json, os
from celery import Celery
from distbelief.celery import join

app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
app.conf.update(
    broker_transport_options={"global_keyprefix": "shop:", "visibility_timeout": 5},
    task_serializer="pickle", result_serializer="pickle", accept_content=["pickle", "json"],
    task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=4,
    task_time_limit=20, task_soft_time_limit=10, worker_enable_remote_control=False,
    task_annotations={"distbelief.downpour": {"rate_limit": "1/h"}}, task_default_priority=3,
    task_routes={"distbelief.*": {"exchange": "theirs", "routing_key": "elsewhere"}},
)
before = json.dumps(app.conf.humanize())
join(app, queue="training")
unchanged = before == json.dumps(app.conf.humanize())

@app.task(name="shop.order")
def order(number):
    return {number}

@app.task(name="shop.settings")
def settings():
    from threadpoolctl import threadpool_info
    return app.conf.accept_content, {each["num_threads"] for each in threadpool_info()}
"""


def environment(folder: Path, **variables: str) -> Mapping[str, str]:
    """That of a project's programs."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), import_path()]),
        "C_FORCE_ROOT": "1",
        **variables,
    }


@contextmanager
def worker(
    folder: Path, app: str, queues: str, *words: str, **variables: str
) -> Iterator[Mapping[str, str]]:
    """A worker of a project in a folder that has begun; the environment of it and its programs."""
    found = environment(folder, **variables)
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queues]
    command += ["-c", "1", "--loglevel", "INFO", *words]
    path = folder / "team.log"
    with path.open("wb") as log:
        started = subprocess.Popen(command, cwd=folder, env=dict(found), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while " ready." not in path.read_text():
            assert started.poll() is None, path.read_text()
            assert time.monotonic() < deadline, path.read_text()
            time.sleep(POLL_S)
        yield found
    finally:
        started.terminate()
        try:
            started.wait(END_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(END_S)


def run(folder: Path, environment: Mapping[str, str], *words: str, timeout_s: float = 100.0) -> str:
    """Run a program of the project; what it says."""
    said = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert said.returncode == 0, f"{said.stdout}\n{said.stderr}"
    return said.stdout


def rabbitmq() -> str | None:
    """The program that starts a RabbitMQ, if there is one here."""
    # Debian's own in /usr/sbin becomes another user, who may not write to folders of tests.
    return shutil.which("/usr/lib/rabbitmq/bin/rabbitmq-server")
