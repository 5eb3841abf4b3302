"""Brokers of a team that are no server of ours: the memory of one process, and Amazon's queues."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster import teams

START_S = 120.0

#: A program with a worker in a thread, as Celery's own tests have it, and without one.
IN_MEMORY = """
import os, sys
from celery import Celery
from celery.contrib.testing.worker import start_worker
from distbelief import ConfigError, train
from distbelief.celery import join

app = Celery("shop", broker="memory://")
join(app, queue="training", control=os.environ["CONTROL"])
words = dict(celery=app, model="softmax", replicas=1, passes=2, wait_seconds=30)
try:
    train(**words)
except ConfigError as error:
    assert "memory://, which no other process reaches" in str(error), error
else:
    sys.exit("it was not refused")
with start_worker(app, perform_ping_check=False, queues=["celery", "training"]):
    downpour = train(**words)
    batch = train(**words, algorithm="sandblaster", iterations=2)
print(downpour.reason)
"""


def test_the_memory_of_a_process_with_a_worker_in_a_thread_is_a_broker(
    bare: LocalCluster, tmp_path: Path
) -> None:
    environment = teams.environment(tmp_path, CONTROL=bare.endpoints.broker)
    assert teams.run(tmp_path, environment, "-c", IN_MEMORY) == "all passes done\n"


QUEUES = """
import os
from celery import Celery
from distbelief.celery import join

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.broker_transport_options = {
    "is_secure": False, "region": "us-east-1", "wait_time_seconds": 1, "polling_interval": 0.1,
}
app.conf.worker_enable_remote_control = False
join(app, queue="training")
"""


@pytest.fixture
def sqs(tmp_path: Path) -> Iterator[str]:
    """A stand-in of Amazon's queues: its URL."""
    for needed in ("moto.server", "boto3", "pycurl"):
        pytest.importorskip(needed, reason=f"there is no {needed} here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "moto").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=tmp_path)
    deadline = time.monotonic() + START_S
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "moto").read_text()
                assert time.monotonic() < deadline, "the stand-in does not listen"
                time.sleep(0.1)
        yield f"sqs://key:secret@127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10.0)


def test_amazons_queues_carry_the_messages_of_a_team(
    sqs: str, bare: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(QUEUES)
    variables = {"SHOP_BROKER": sqs, "DISTBELIEF_CONTROL": bare.endpoints.broker}
    with teams.worker(tmp_path, "shop", "celery,training", **variables) as environment:
        train = ("-m", "distbelief", "train", "--celery-app", "shop", "--model", "softmax")
        assert "all passes done" in teams.run(tmp_path, environment, *train, "--passes", "2")
        batch = ("--algorithm", "sandblaster", "--iterations", "2", "--portions", "4")
        teams.run(tmp_path, environment, *train, *batch)
