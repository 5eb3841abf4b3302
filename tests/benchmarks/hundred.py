"""What very many workers cost: ``python tests/benchmarks/hundred.py --minutes 5 --workers 100``.

So many worker processes, ten to a worker, sleep instead of computing: first they have nothing to
do, then they train with Downpour, then with Sandblaster, a third of the time each. Prints what that
makes of the control server, of the coordinator and of the workers' main processes, who asks for
what on the control server, and how many connections there are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end, import_path
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.faults.private_fleet import start_worker

PROCESSES = 10
WAIT_S = 180.0
SETTLE_S = 5.0
MOST_TOLD = 6

COMMON = [
    *("--model", "slowmodels:Sleepy", "--data", "synthetic:softmax"),
    *("--data-option", "examples=8000", "--batch-size", 8, "--wait-seconds", 60),
]
#: 100 processes push 100 times a second, and begin 20 units.
DOWNPOUR = [
    *("--model-option", "seconds=0.2", "--n-push", 5, "--n-fetch", 5, "--unit-steps", 25),
    *("--passes", 100_000, "--evaluate-every", 1000),
]
#: 100 portions a second.
SANDBLASTER = [
    *("--algorithm", "sandblaster", "--model-option", "seconds=1", "--portions", 400),
    *("--iterations", 100_000, "--gradient-tolerance", 0, "--decrease-tolerance", 0),
    *("--evaluate-every", 1000),
]


@dataclass(frozen=True)
class Reading:
    """Clocks and counters at one moment. ``cpu_s`` are those of parts of the fleet."""

    at: float
    cpu_s: Mapping[str, float]
    commands: Mapping[str, int]
    net: int


class Fleet:
    """Servers, and workers that sleep."""

    def __init__(self, cluster: LocalCluster, workers: list[Child]) -> None:
        places = cluster.endpoints
        self.cluster = cluster
        self.mains = [psutil.Process(each.process.pid) for each in workers]
        self.pool = [child for main in self.mains for child in main.children()]
        urls = {"control": places.broker, "parameters": places.parameter_servers[0]}
        self.clients = {name: redis.Redis.from_url(url) for name, url in urls.items()}

    def read(self, coordinator: psutil.Process | None) -> Reading:
        """Everything that counts, now."""
        info: dict[str, Any] = self.clients["control"].info("everything")
        cpu = {
            "control server": info["used_cpu_user"] + info["used_cpu_sys"],
            "workers' main processes": sum(map(_cpu_s, self.mains)),
            "processes that sleep": sum(map(_cpu_s, self.pool)),
            "coordinator": _cpu_s(coordinator) if coordinator else 0.0,
        }
        commands = {
            name.removeprefix("cmdstat_"): stat["calls"]
            for name, stat in info.items()
            if name.startswith("cmdstat_")
        }
        net = info["total_net_input_bytes"] + info["total_net_output_bytes"]
        return Reading(time.monotonic(), cpu, commands, net)

    def connections(self) -> str:
        found = {name: client.info("clients") for name, client in self.clients.items()}
        return ", ".join(f"{name} {each['connected_clients']}" for name, each in found.items())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def fleet(folder: Path, workers: int) -> Iterator[Fleet]:
    """Servers and workers of ten processes each; all have answered."""
    with ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(servers=2, processes=0, folder=folder, wait_s=WAIT_S)
        )
        places = cluster.endpoints
        variables = {
            "DISTBELIEF_BROKER": places.broker,
            "DISTBELIEF_PARAMETER_SERVERS": ",".join(places.parameter_servers),
        }
        started = list[Child]()
        stack.callback(lambda: end(started, 10.0))
        for number in range(workers // PROCESSES):
            started.append(start_worker(folder, PROCESSES, variables, f"worker{number}"))
        deadline = time.monotonic() + WAIT_S
        with closing(Messages(places.broker)) as messages:
            while messages.processes() < workers:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not {workers} processes within {WAIT_S:g} s")
        yield Fleet(cluster, started)


@contextmanager
def coordinator(fleet: Fleet, folder: Path, words: list[object]) -> Iterator[psutil.Process]:
    """A training that goes on until it is ended."""
    places = fleet.cluster.endpoints
    models = Path(__file__).parents[1] / "cluster"
    path = os.pathsep.join([str(models), import_path()])
    command = [sys.executable, "-m", "distbelief", "train", *map(str, [*COMMON, *words])]
    command += ["--broker", places.broker, "--folder", str(folder / "runs")]
    command += ["--parameter-servers", ",".join(places.parameter_servers)]
    environment = {**os.environ, "PYTHONPATH": path, "DISTBELIEF_ALLOWED_IMPORTS": "slowmodels"}
    with (folder / "said").open("wb") as said:
        started = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    try:
        while b"pass" not in (told := (folder / "said").read_bytes()) and b"iter" not in told:
            if started.poll() is not None:
                raise RuntimeError(told.decode())
            time.sleep(0.2)
        yield psutil.Process(started.pid)
        if started.poll() is not None:
            raise RuntimeError((folder / "said").read_text())
    finally:
        started.terminate()
        started.wait(WAIT_S)


def told(what: str, before: Reading, after: Reading, fleet: Fleet, memory: float) -> None:
    """Print what happened between two readings, in a second."""
    seconds = after.at - before.at
    made = {
        name: (calls - before.commands.get(name, 0)) / seconds
        for name, calls in after.commands.items()
    }
    most = sorted(made.items(), key=lambda item: -item[1])[:MOST_TOLD]
    print(f"{what}, {seconds:.0f} s")
    print(f"  control server: {sum(made.values()):.0f} commands a second", end=", ")
    print(f"{(after.net - before.net) / seconds / 1e3:.0f} kB a second")
    print(f"    {', '.join(f'{name} {rate:.0f}' for name, rate in most)}")
    print(f"  messages a second: {made.get('lpush', 0.0):.0f}")
    for name, spent in after.cpu_s.items():
        if spent or before.cpu_s[name]:
            print(f"  {name}: {100 * (spent - before.cpu_s[name]) / seconds:.1f} % of a core")
    if memory:
        print(f"  coordinator: {memory:.0f} MB")
    print(f"  connections: {fleet.connections()}", flush=True)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--minutes", type=float, default=5.0)
    flags.add_argument("--workers", type=int, default=100)
    asked = flags.parse_args()
    share_s = 60 * asked.minutes / 3
    works: dict[str, list[object] | None] = {
        f"{asked.workers} processes with nothing to do": None,
        "Downpour": [*DOWNPOUR, "--replicas", asked.workers],
        "Sandblaster": [*SANDBLASTER],
    }
    with tempfile.TemporaryDirectory() as name, fleet(Path(name), asked.workers) as all_:
        for what, words in works.items():
            with ExitStack() as stack:
                running = words and stack.enter_context(coordinator(all_, Path(name), words))
                time.sleep(SETTLE_S)
                before = all_.read(running or None)
                time.sleep(share_s)
                memory = running.memory_info().rss / 1e6 if running else 0.0
                told(what, before, all_.read(running or None), all_, memory)


if __name__ == "__main__":
    main()
