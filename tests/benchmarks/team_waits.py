"""What a team's own tasks wait while its workers train: ``python tests/benchmarks/team_waits.py``.

A worker of an application that has joined, with two processes, gets a tiny task of its own every
100 ms. Prints how long these wait until they begin: while nobody trains, and beside both
algorithms, with portions of the default size and with ones that are far too large; at last with
tasks that nothing cuts. Flags: ``--seconds 30 --unit-seconds 2 --examples 100000 --hidden 1000``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.coordinator.api import train
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end, import_path

SHOP = """
import os, time
from celery import Celery
from distbelief.celery import join

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.worker_prefetch_multiplier = 4
join(app, queue="training")

@app.task(name="shop.tiny", ignore_result=True)
def tiny(sent):
    with open(os.environ["SHOP_WAITS"], "a") as waits:
        waits.write(f"{time.time() - sent}\\n")
"""

PROCESSES, EVERY_S, BEGIN_S = 2, 0.1, 60.0
#: Seconds in which each process opens the data and imports what it needs: not counted.
WARM_UP_S = 5.0
#: As if nothing cut a task.
ENDLESS = 1e6


class Team:
    """A team whose program is this process: its application, and what its tasks have waited."""

    def __init__(self, folder: Path) -> None:
        self.waits = folder / "waits"
        self.app: Any = import_module("shop").app

    def wait_for_worker(self) -> None:
        """Wait until a first task has begun."""
        self.waits.write_text("")
        self._send()
        deadline = time.monotonic() + BEGIN_S
        while not self.waits.read_text():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no worker within {BEGIN_S:g} s")
            time.sleep(EVERY_S)

    @contextmanager
    def ordering(self) -> Iterator[None]:
        """Send a task every 100 ms; those of the first seconds are forgotten."""
        over = threading.Event()

        def send() -> None:
            began, forgotten = time.monotonic(), False
            while not over.wait(EVERY_S):
                if not forgotten and time.monotonic() - began > WARM_UP_S:
                    self.waits.write_text("")
                    forgotten = True
                self._send()

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()

    def seen(self) -> list[float]:
        """The milliseconds that tasks have waited."""
        time.sleep(1.0)  # the last ones
        return [1e3 * float(line) for line in self.waits.read_text().split()]

    def _send(self) -> None:
        self.app.send_task("shop.tiny", [time.time()], queue="celery")


@contextmanager
def team(folder: Path) -> Iterator[tuple[Team, tuple[str, ...]]]:
    """A team with a worker, and the parameter servers that its trainings may use."""
    (folder / "shop.py").write_text(SHOP)
    with LocalCluster(servers=1, processes=0, folder=folder, wait_s=BEGIN_S) as cluster:
        places = cluster.endpoints
        os.environ["SHOP_BROKER"] = places.broker.replace("unix://", "redis+socket://")
        os.environ["SHOP_WAITS"] = str(folder / "waits")
        os.environ["DISTBELIEF_PARAMETER_SERVERS"] = ",".join(places.parameter_servers)
        sys.path.insert(0, str(folder))
        command = [sys.executable, "-m", "celery", "-A", "shop", "worker"]
        command += ["-Q", "celery,training", "-c", str(PROCESSES)]
        path = os.pathsep.join([str(folder), import_path()])
        worker = Child.start("shop", command, folder, {**os.environ, "PYTHONPATH": path})
        try:
            shop = Team(folder)
            shop.wait_for_worker()
            yield shop, places.parameter_servers
        finally:
            end([worker], 5.0)


def line(what: str, waits: Sequence[float]) -> str:
    p50, p99 = np.percentile(waits, [50, 99])
    return f"{what:<52}{p50:>8.0f}{p99:>8.0f}{max(waits):>8.0f}{len(waits):>8}"


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--seconds", type=float, default=30.0)
    flags.add_argument("--unit-seconds", type=float, default=2.0)
    flags.add_argument("--examples", type=int, default=100_000)
    flags.add_argument("--hidden", type=int, default=1000)
    asked = flags.parse_args()
    steps = {"passes": 10_000}
    batch = {"algorithm": "sandblaster", "iterations": 10_000, "gradient_tolerance": 0.0}
    cut = {"unit_seconds": asked.unit_seconds}
    cases: dict[str, dict[str, Any]] = {
        "Downpour": steps | cut,
        "Sandblaster": batch | cut,
        "Sandblaster, portions=4": batch | cut | {"portions": 4},
        "Downpour, nothing cut": steps | {"unit_seconds": ENDLESS},
        "Sandblaster, portions=4, nothing cut": batch | {"unit_seconds": ENDLESS, "portions": 4},
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        team(Path(folder)) as (shop, servers),
    ):
        print(f"{'a task of theirs waits, in ms, while':<52}{'p50':>8}{'p99':>8}{'max':>8}{'n':>8}")
        with shop.ordering():
            time.sleep(2 * WARM_UP_S)
        print(line("nobody trains", shop.seen()), flush=True)
        for what, settings in cases.items():
            with shop.ordering():
                train(
                    celery=shop.app,
                    parameter_servers=servers,
                    folder=str(Path(folder) / "runs"),
                    data="synthetic:softmax",
                    data_options={"examples": asked.examples, "features": 200},
                    hidden=(asked.hidden,),
                    replicas=PROCESSES,
                    max_seconds=asked.seconds,
                    **settings,
                )
            print(line(what, shop.seen()), flush=True)


if __name__ == "__main__":
    main()
