"""What durability costs: one training with checkpoints seldom, often, and an append-only file.

``python tests/benchmarks/durability.py``: embedded servers, one run after another, on the
same work; the rounds are interleaved and the medians compared, because machines are noisy.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from app.config import ClusterConfig, RunConfig
from coordinator.job import prepare
from coordinator.opening import Display
from coordinator.training import train

ROUNDS = 5
NEVER_S = 1e6

WORK: dict[str, Any] = {"hidden": (512,), "passes": 15, "n_push": 4, "n_fetch": 4}
MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "checkpoint at the beginning only": ({"checkpoint_seconds": NEVER_S}, {}),
    "checkpoint every 30 s (default)": ({}, {}),
    "checkpoint every second": ({"checkpoint_seconds": 1.0}, {}),
    "append-only file": ({"checkpoint_seconds": NEVER_S}, {"durability": "aof"}),
}


def seconds_of(mode: str, folder: Path) -> float:
    settings, cluster = MODES[mode]
    job = prepare(RunConfig(**WORK, **settings), 2)
    place = ClusterConfig(folder=str(folder), **cluster)
    return train(job, place, Display(lambda _: None, lambda _: None)).seconds


def main() -> None:
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for mode, seconds in taken.items():
                seconds.append(seconds_of(mode, Path(folder)))
        files = list(Path(folder).glob("*/servers/*/appendonlydir/*.aof"))
        written = sum(path.stat().st_size for path in files) / ROUNDS / 2**20
    base = statistics.median(taken["checkpoint at the beginning only"])
    for mode, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{mode:34} {middle:6.2f} s  {middle / base:5.2f} times")
    print(f"an append-only file grew by {written:.0f} MiB in one run")


if __name__ == "__main__":
    main()
