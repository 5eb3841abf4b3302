"""What rounds save: bytes, servers' seconds and time, with either engine.

``PYTHONPATH=. python tests/benchmarks/round_costs.py IMAGES`` trains a network of 203,530 numbers
(784-256-10) on images like MNIST's with two replicas, two parameter servers and each engine: with
an exchange at each step, with the defaults, and by rounds. Bytes are those at the servers' sockets,
seconds those of their processors, both for a minibatch: they do not depend on what else the
machine does. Minibatches in a second do. With ``--clicks`` it trains logistic regression, whose
weights are rows of a table, on drawn clicks instead; its defaults are an exchange at each step.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from distbelief import LocalCluster, train
from distbelief.app.client.servers import Servers
from distbelief.worker_tasks.server_meter import ServerMeter

STEP: Mapping[str, Mapping[str, Any]] = {"an exchange at each step": {"n_push": 1, "n_fetch": 1}}
ROUNDS: Mapping[str, Mapping[str, Any]] = {
    "rounds of 16 steps": {"round_steps": 16},
    "rounds of 64 steps": {"round_steps": 64},
}
WAYS: Mapping[str, Mapping[str, Any]] = {**STEP, "defaults": {}, **ROUNDS}
CLICKS: Mapping[str, Any] = {
    "data": "synthetic:clicks", "data_options": {"examples": 20_000, "features": 65_536},
    "model": "logistic", "table_numbers": 1,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="?", type=Path, help="a file like MNIST's, or a folder")
    parser.add_argument("--clicks", action="store_true", help="clicks, with tables")
    parser.add_argument("--passes", type=int, default=4)
    given = parser.parse_args()
    if given.clicks == (given.images is not None):
        parser.error("give a file of images, or --clicks")
    folder = Path(tempfile.mkdtemp())
    problem = CLICKS if given.clicks else {"data": str(given.images), "hidden": (256,)}
    measure, ways = ("loss", {**STEP, **ROUNDS}) if given.clicks else ("accuracy", WAYS)
    print(f"| engine | way | minibatches/s | bytes a minibatch | servers' ms | {measure} |")
    print("|---|---|---|---|---|---|")
    with (
        LocalCluster(servers=2, processes=2, folder=folder, wait_s=30) as cluster,
        closing(Servers(cluster.endpoints.parameter_servers)) as servers,
    ):
        meter = ServerMeter(servers)
        train(cluster=cluster, **problem, passes=1, replicas=2)  # opens the data
        for engine in ("native", "lua"):
            for way, settings in ways.items():
                before = meter.read()
                result = train(
                    cluster=cluster,
                    **problem,
                    replicas=2,
                    passes=given.passes,
                    evaluate_every=1000.0,
                    checkpoint_seconds=1000.0,
                    engine=engine,
                    **settings,
                )
                spent = meter.since(before)
                steps = sum(e.fields["steps"] for e in result.history if e.kind == "unit")
                reached = (result.heldout or {})[measure]
                print(
                    f"| {engine} | {way} | {steps / result.timings.training:,.0f} "
                    f"| {(spent.received + spent.sent) / steps:,.0f} "
                    f"| {1e3 * spent.cpu_s / steps:.2f} "
                    f"| {reached:.{'4f' if given.clicks else '1%'}} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
