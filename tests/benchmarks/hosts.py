"""A run over hosts that are slow, far away, cut off and added.

``PYTHONPATH=. python tests/benchmarks/hosts.py``. Network namespaces are the hosts (root on Linux):
a control server, two parameter servers, of which one is behind a delay, worker hosts, a
coordinator, links of a limited speed. Both algorithms train on data that only the coordinator has:
once undisturbed, once while a worker's host is cut off, then a parameter server's, and a host is
added. Ends with exit code 1 if an update is missing or twice, or the result is another.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from contest.figures import table
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.runs import journal
from planning.namespaces import Host, why_not
from tests.cluster.hosts import HERE, HostFleet, fleet

WORKERS, ADDED = 3, 1
DEADLINE_S, POLL_S = 600.0, 0.1
EXAMPLES, FEATURES, CLASSES = 4_000, 784, 10

UPDATES = re.compile(r"updates applied: (\d+(?: to \d+)?) on each of (\d+) shards, (\d+) planned")
OBJECTIVE = re.compile(r"objective (\S+),")
SENT_AGAIN = re.compile("sent again|retries|backups")
HELD_OUT = re.compile(r"^held-out .*", re.MULTILINE)

#: What each algorithm trains, and what it reports when it has come further.
WORK: dict[str, tuple[str, list[str]]] = {
    "downpour": (
        "unit",
        ["--passes", "6", "--unit-steps", "10", "--n-push", "1", "--n-fetch", "1"],
    ),
    "sandblaster": ("iteration", ["--iterations", "12", "--portions", "12"]),
}
COMMON = ["--model", "mlp", "--hidden", "64", "--batch-size", "60", "--seed", "1"]
COMMON += ["--replicas", str(WORKERS), "--wait-seconds", "60", "--stage-data"]


def main() -> None:
    """Run both algorithms over such hosts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabits", type=float, default=100.0, help="of each link, both ways")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds each way, of one server")
    parser.add_argument("--away", type=float, default=10.0, help="seconds that a host is cut off")
    parser.add_argument("--algorithm", action="append", choices=WORK)
    asked = parser.parse_args()
    print(f"$ python {shlex.join(sys.argv)}")
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}, {load}")
    if why := why_not():
        raise SystemExit(f"skipped: {why}")
    wrong = []
    for algorithm in asked.algorithm or WORK:
        with (
            tempfile.TemporaryDirectory(prefix="hosts-") as folder,
            fleet(Path(folder), WORKERS + ADDED, asked.megabits, asked.delay) as hosts,
        ):
            wrong += scenario(hosts, algorithm, asked.away)
    print("\n".join(wrong) or "all clocks and results as planned")
    raise SystemExit(1 if wrong else 0)


@dataclass
class Run:
    """A coordinator on its host."""

    process: subprocess.Popen[str]
    folder: Path
    kind: str
    began: float

    def count(self) -> int:
        """Units, or iterations, that were reported."""
        return sum(event.kind == self.kind for event in self.events())

    def events(self) -> Iterator[Event]:
        for path in self.folder.glob("*/events.jsonl"):
            yield from journal.read(path)

    def gets_to(self, count: int) -> None:
        """Wait until so much was reported."""
        while self.count() < count:
            if self.process.poll() is not None or time.monotonic() > self.began + DEADLINE_S:
                raise SystemExit(f"ended with {self.process.poll()} before {count}: {self.said}")
            time.sleep(POLL_S)

    @property
    def said(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    def ends(self) -> float:
        """Wait for its end: the seconds that it took."""
        code = self.process.wait(DEADLINE_S)
        if code:
            raise SystemExit(f"exit code {code}: {self.said}")
        return time.monotonic() - self.began


def scenario(hosts: HostFleet, algorithm: str, away_s: float) -> list[str]:
    """One algorithm, undisturbed and disturbed; what was wrong."""
    data = write_data(hosts.folder)
    for host in hosts.workers[:WORKERS]:
        hosts.start_worker(host)
    print(f"\n{algorithm}: what the doctor says of the workers' data", flush=True)
    for staged in (False, True):
        for line in doctor(hosts, data, staged=staged):
            print(f"  {line}")
    with started(hosts, data, algorithm, "undisturbed") as undisturbed:
        alone_s = undisturbed.ends()
    with started(hosts, data, algorithm, "disturbed") as run:
        disturb(run, hosts, away_s)
        seconds = run.ends()
    print(f"{algorithm}: undisturbed {alone_s:.0f} s, disturbed {seconds:.0f} s")
    rows = [
        [name, *verdict(each)] for name, each in (("undisturbed", undisturbed), ("disturbed", run))
    ]
    for line in table(["", "updates or objective", "held-out"], rows):
        print(line)
    for line in heard(run):
        print(f"  said: {line}")
    return judge(algorithm, hosts, undisturbed, run)


def heard(run: Run) -> list[str]:
    """What its coordinator said of waits, and the last it said of its progress."""
    lines = run.said.splitlines()
    progress = [line for line in lines if SENT_AGAIN.search(line)]
    return [each for each in lines if each.startswith(("waiting", "staging"))] + progress[-1:]


def disturb(run: Run, hosts: HostFleet, away_s: float) -> None:
    """Cut a worker's host off, then a server's, then add a host: each once the run goes on."""
    for host in (hosts.workers[0], hosts.parameters[0]):
        run.gets_to(run.count() + 2)
        cut(host, away_s)
    run.gets_to(run.count() + 1)
    added = hosts.workers[WORKERS]
    hosts.start_worker(added)
    print(f"  {added.name} was added")


def cut(host: Host, away_s: float) -> None:
    host.cut_off()
    time.sleep(away_s)
    host.join_again()
    print(f"  {host.name} ({host.address}) was cut off for {away_s:g} s", flush=True)


def judge(algorithm: str, hosts: HostFleet, undisturbed: Run, run: Run) -> list[str]:
    """What is wrong with a disturbed run."""
    wrong = []
    if algorithm == "downpour":
        found = UPDATES.search(run.out)
        if found is None or found[1] != found[3]:
            wrong.append(f"clocks: {run.out}")
    elif not same_model(undisturbed, run):
        wrong.append("Sandblaster's model differs from the undisturbed run's")
    if hosts.parameters[0].address not in run.said:
        wrong.append("nobody said that the parameter server was waited for")
    if hosts.fetched() != [1] * (WORKERS + ADDED):
        wrong.append(f"data sets fetched by each host: {hosts.fetched()}")
    print(f"  data sets fetched by each host of workers: {hosts.fetched()}")
    return wrong


def same_model(one: Run, other: Run) -> bool:
    """Whether two runs have the same model, to the bit."""
    first, second = (
        load_file(next(each.folder.glob("*/model.safetensors"))) for each in (one, other)
    )
    return all(np.array_equal(second[name], tensor) for name, tensor in first.items())


def verdict(run: Run) -> list[str]:
    """What its summary says."""
    found = UPDATES.search(run.out) or OBJECTIVE.search(run.out)
    held_out = HELD_OUT.search(run.out)
    return [found[0].rstrip(",") if found else "?", held_out[0] if held_out else "?"]


def write_data(folder: Path) -> Path:
    """Examples that a softmax made, in a file that workers may not open."""
    random = np.random.default_rng(1)
    features = random.normal(size=(EXAMPLES, FEATURES)).astype(np.float32)
    labels = (features @ random.normal(size=(FEATURES, CLASSES))).argmax(axis=1)
    file = folder / "mine.npz"
    np.savez(file, x=features, y=labels)
    return file


def command(hosts: HostFleet, *words: str) -> list[str]:
    """A command of ours on the coordinator's host."""
    servers = ",".join(hosts.endpoints.parameter_servers)
    where = ["--broker", hosts.endpoints.broker, "--parameter-servers", servers]
    return hosts.coordinator.command(sys.executable, "-m", "distbelief", *words, *where)


def doctor(hosts: HostFleet, data: Path, *, staged: bool) -> list[str]:
    """What the doctor says of the workers' data, which are ``staged``, or have to be there."""
    own = [each for each in COMMON if staged or each != "--stage-data"]
    words = command(hosts, "doctor", "--data", str(data), *own)
    said = subprocess.run(words, capture_output=True, text=True, env=environment(hosts))
    told = ("cannot open the data", "will fetch the data")
    lines = [line.strip() for line in said.stdout.splitlines()]
    return [line for line in lines if any(words in line for words in told)]


@contextmanager
def started(hosts: HostFleet, data: Path, algorithm: str, name: str) -> Iterator[Run]:
    kind, own = WORK[algorithm]
    folder = hosts.folder / name
    folder.mkdir()
    words: Sequence[str] = command(
        hosts,
        *("train", "--algorithm", algorithm, "--data", str(data), "--folder", str(folder)),
        *(*COMMON, *own),
    )
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(
            words, stdout=out, stderr=err, text=True, env=environment(hosts), start_new_session=True
        )
    try:
        yield Run(process, folder, kind, time.monotonic())
    finally:
        process.kill()
        process.wait()


def environment(hosts: HostFleet) -> dict[str, str]:
    return {**os.environ, "DISTBELIEF_CACHE": str(hosts.folder / "cache"), "PYTHONPATH": str(HERE)}


if __name__ == "__main__":
    main()
