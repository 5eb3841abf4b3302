"""What ``auto`` makes of slow links, of many workers, and of interpreted Lua.

``PYTHONPATH=. python tests/benchmarks/slow_links.py IMAGES``. Hosts are network namespaces (root on
Linux), their links of a limited speed both ways.

- ``links``: two worker hosts and two parameter servers train a network of 203,530 numbers
  (784-256-10) on images like MNIST's with the defaults, on unlimited links and on slow ones, with
  what ``auto`` chooses and as it chooses where links are fast.
- ``many``: steps a second of one worker host and of eight, whose step is to sleep for 5 ms, with
  1,000,000 numbers on links of 1 Gbit/s.
- ``lua``: the network again, on embedded servers of each engine, with the defaults.

Seconds to the target are those until the evaluation that reached it; a minibatch's bytes are those
that workers counted, both ways; ``waiting`` is the share of their time for which steps waited for
exchanges.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from distbelief import LocalCluster, Result, train
from distbelief.coordinator.progress.network import NetworkUse, size_text
from distbelief.coordinator.runs.messages import Messages
from planning.namespaces import why_not
from tests.cluster.hosts import HERE, HostFleet, fleet

NETWORK: Mapping[str, Any] = {
    "hidden": (256,),
    "batch_size": 64,
    "learning_rate": 0.2,
    "replicas": 2,
    "checkpoint_seconds": 1000.0,
    "standardize": False,
}
SLEEPING: Mapping[str, Any] = {
    "model": "slowmodels:sleeper",
    "data": "synthetic:linear",
    "batch_size": 8,
    "evaluate_every": 1000.0,
    "checkpoint_seconds": 1000.0,
    "max_seconds": 6.0,
    "optimizer": "sgd",
    "passes": 10_000,
}
POLL_S = 0.2
HEAD = ["", "steps/s", "bytes a step", "waiting", "s to target", "way"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", type=Path, nargs="?", help="a file like MNIST's, or a folder")
    parser.add_argument("--part", action="append", choices=["links", "many", "lua"])
    parser.add_argument("--megabits", type=float, default=100.0, help="of slow links")
    parser.add_argument("--target", type=float, default=0.955, help="held-out accuracy")
    parser.add_argument("--races", type=int, default=1, help="of which the median is told")
    parser.add_argument("--passes", type=int, default=20)
    given = parser.parse_args()
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}, {load}")
    if why := why_not():
        raise SystemExit(f"skipped: {why}")
    sys.path.insert(0, str(HERE))
    os.environ["DISTBELIEF_ALLOWED_IMPORTS"] = "slowmodels"
    network = {**NETWORK, "data": str(given.images), "passes": given.passes}
    parts: dict[str, Callable[[], Iterator[list[str]]]] = {
        "links": lambda: links(network, given.megabits, given.target, given.races),
        "many": many,
        "lua": lambda: lua(network, given.target, given.races),
    }
    for part in given.part or parts:
        print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        for line in parts[part]():
            print(f"| {' | '.join(line)} |", flush=True)


def links(
    network: Mapping[str, Any], megabits: float, target: float, races: int
) -> Iterator[list[str]]:
    """The network on unlimited links, and on slow ones in two ways."""
    usual, steady = {"n_push": 4}, {"evaluate_every": 1000.0, "max_seconds": 8.0}
    for limit, ways in ((None, {"auto": {}}), (megabits, {"auto": {}, "n_push 4": usual})):
        with hosts(2, limit, str(Path(network["data"]).absolute().parent)) as found:
            trained(found, network, passes=1, n_push=4)  # opens the data
            for way, settings in ways.items():
                rate = trained(found, network, steady, settings)
                raced = [trained(found, network, settings, target=target) for _ in range(races)]
                speed = "unlimited" if limit is None else f"{limit:g} Mbit/s"
                yield row(f"two hosts, {speed}, {way}", rate, raced, target)


def many() -> Iterator[list[str]]:
    """One sleeping worker host, and eight of them."""
    for count in (1, 8):
        with hosts(count, 1000.0, "") as found:
            result = trained(found, SLEEPING, replicas=count)
            yield row(f"{count} sleeping hosts, 1 Gbit/s", result)


def lua(network: Mapping[str, Any], target: float, races: int) -> Iterator[list[str]]:
    """The network on embedded servers of each engine."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(servers=2, processes=2, folder=Path(folder), wait_s=30) as cluster,
    ):
        train(cluster=cluster, **{**network, "passes": 1})
        for engine in ("native", "lua"):
            said = list[str]()
            known = {**network, "cluster": cluster, "engine": engine, "say": said.append}
            rate = train(**known, evaluate_every=1000.0)
            raced = [train(**known, target=target) for _ in range(races)]
            tell(said)
            yield row(f"embedded, {engine}", rate, raced, target)


@contextmanager
def hosts(count: int, megabits: float | None, roots: str) -> Iterator[HostFleet]:
    """A fleet whose workers listen, and may open what is in a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="slow-links-") as folder,
        fleet(Path(folder), count, megabits) as found,
    ):
        for host in found.workers:
            found.start_worker(host, roots=roots)
        with closing(Messages(found.endpoints)) as messages:
            while messages.processes() < count:
                time.sleep(POLL_S)
        yield found


def trained(found: HostFleet, *settings: Mapping[str, Any], **more: Any) -> Result:
    """A training on a fleet, once all its workers are there; what it says first is printed."""
    said = list[str]()
    known = {name: value for each in (*settings, more) for name, value in each.items()}
    result = train(
        broker=found.endpoints.broker,
        parameter_servers=found.endpoints.parameter_servers,
        folder=str(found.folder / "runs"),
        wait_seconds=60.0,
        say=said.append,
        **known,
    )
    tell(said)
    return result


def tell(said: list[str]) -> None:
    for line in said:
        if line.startswith(("auto:", "warning:")):
            print(f"  {line}", flush=True)


def row(name: str, result: Result, raced: Sequence[Result] = (), target: float = 1.0) -> list[str]:
    """A row of the table: rates are those of ``result``, the seconds those of the races."""
    used, way = NetworkUse(), ""
    for event in result.history:
        if event.kind == "unit":
            used = used.with_unit(event.fields)
        elif event.kind == "surroundings":
            way = event.fields["exchanges"].get("way", "as on fast links")
    seconds = statistics.median(reached(race, target) for race in raced) if raced else math.nan
    return [
        name,
        f"{used.steps / result.timings.training:,.0f}",
        size_text(used.bytes_a_step),
        f"{used.waiting:.0%}",
        f"{seconds:.2f}" if raced else "",
        way,
    ]


def reached(race: Result, target: float) -> float:
    """The seconds of the evaluation that reached the target, infinite if none did."""
    good = (
        event.fields["seconds"]
        for event in race.history
        if event.kind == "evaluation" and event.fields["measures"]["accuracy"] >= target
    )
    return float(next(good, math.inf))


if __name__ == "__main__":
    main()
