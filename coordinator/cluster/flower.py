"""Flower beside a training: Celery's monitor as a child process, on this machine only."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distbelief.app.client.addresses import ServerAddress
from distbelief.app.errors import ConfigError, ServerError, WaitTimeout
from distbelief.app.settings.environment import BROKER, KEY_PREFIX, file_of, is_redis
from distbelief.app.settings.extras import installation
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.processes import Child, end, import_path

HOST = "127.0.0.1"

#: Flower's own; another one if somebody has it.

#: What people ask first: which task, on what, how it went, where.
COLUMNS = "name,args,state,received,started,runtime,worker,uuid"

END_GRACE_S = 2.0
POLL_S = 0.05
CONNECT_S = 1.0

#: Ports to try, 0 for any, and what its log says where another program was faster.
PORTS = (5555, 0, 0)
TAKEN = "Address already in use"

#: What its log says when it begins to hear of tasks, and how long that may take.
CONNECTED, HEARS_S = "Connected to", 5.0


def check() -> None:
    """Raise ConfigError if Flower is not installed."""
    if importlib.util.find_spec("flower") is None:
        raise ConfigError(f"flower is not installed: {installation('flower')}")


@contextmanager
def run_flower(
    endpoints: Endpoints, folder: Path, wait_s: float, say: Callable[[str], None]
) -> Iterator[None]:
    """Run Flower on the tasks of a broker while the context is open, with its log in ``folder``.

    It shows, and changes nothing: workers cannot be ended from its pages.

    Raises:
        ConfigError: it is not installed.
        ServerError: it ended at once; with the end of its log.
        WaitTimeout: it did not answer within ``wait_s``.
    """
    check()
    broker, app = endpoints.broker, endpoints.celery_app or "distbelief"
    command = [sys.executable, "-P", "-m", "celery", "-A", app, "flower", "--read_only"]
    command += [f"--address={HOST}", f"--tasks_columns={COLUMNS}"]
    # By the environment, as to workers: the URL may hold a password. One that comes from a file is
    # read there, as often as it changes.
    named = {} if file_of(broker) is not None else {BROKER: broker}
    if is_redis(broker):
        named[KEY_PREFIX] = ServerAddress.parse(broker).key_prefix
    environment = {**os.environ, **named, "PYTHONPATH": import_path()}

    def start(port: int) -> Child:
        return Child.start("flower", [*command, f"--port={port}"], folder, environment)

    child, port = _answering(start, PORTS, wait_s)
    try:
        say(f"flower: http://{HOST}:{port}")
        yield
    finally:
        end([child], END_GRACE_S)


def _answering(
    start: Callable[[int], Child], ports: Sequence[int], wait_s: float
) -> tuple[Child, int]:
    """A Flower that answers, and its port: the next one if somebody took the first meanwhile."""
    wanted, *others = ports
    port = _free_port(wanted)
    child = start(port)
    try:
        _wait_for(child, port, wait_s)
    except ServerError:
        if others and TAKEN in child.log.read_text(errors="replace"):
            return _answering(start, others, wait_s)
        raise
    except BaseException:
        end([child], END_GRACE_S)
        raise
    return child, port


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            found: int = listener.getsockname()[1]
            return found
    raise ConfigError(f"no port is free on {HOST} for flower")


def _wait_for(child: Child, port: int, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        child.check()  # its own words, if it has ended
        try:
            socket.create_connection((HOST, port), CONNECT_S).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"flower does not answer on port {port} after {wait_s:g} s: see {child.log}"
                ) from None
        time.sleep(POLL_S)
    # It answers before it hears of tasks, and would miss the first ones.
    hears_by = min(deadline, time.monotonic() + HEARS_S)
    while CONNECTED not in child.log.read_text(errors="replace") and time.monotonic() < hears_by:
        child.check()
        time.sleep(POLL_S)
