"""Trains on a CSV of any size, and tells the largest resident memory of each worker process.

    python tests/benchmarks/large_file.py 2000                  # MB; the seed is fixed
    python tests/benchmarks/large_file.py 200 --algorithm sandblaster

The file is numeric, with 20 columns and labels of two classes by name. It is kept in the
folder, with the cache, until ``--folder`` is deleted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

COLUMNS = 20
CHUNK_ROWS = 50_000
POLL_S = 0.05
MB = 1e6


def write_csv(path: Path, megabytes: float, seed: int = 0) -> None:
    """A logistic problem: columns x0, x1, ... and the target ``answer``, yes or no."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=COLUMNS)
    with path.open("w") as stream:
        stream.write(",".join([f"x{i}" for i in range(COLUMNS)] + ["answer"]) + "\n")
        while stream.tell() < megabytes * MB:
            x = np.round(rng.normal(size=(CHUNK_ROWS, COLUMNS)), 4)
            answers = np.where(x @ weights + rng.logistic(size=CHUNK_ROWS) > 0, "yes", "no")
            table = np.char.mod("%.4f", x)
            lines = (
                ",".join(row) + f",{answer}" for row, answer in zip(table, answers, strict=True)
            )
            stream.write("\n".join(lines) + "\n")


def children_of(process: psutil.Process) -> dict[int, tuple[str, int]]:
    """Role and resident bytes of a process and all below it, by their numbers."""
    found = {}
    for each in [process, *process.children(recursive=True)]:
        try:
            words, parent = " ".join(each.cmdline()), each.parent()
            above = " ".join(parent.cmdline()) if parent else ""
            found[each.pid] = (role_of(words, above), each.memory_info().rss)
        except psutil.Error:  # it has just ended
            continue
    return found


def role_of(words: str, above: str) -> str:
    if "celery" in words:
        return "worker" if "celery" in above else "worker's parent"
    return "coordinator or server"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megabytes", type=float)
    parser.add_argument("--algorithm", default="downpour", choices=["downpour", "sandblaster"])
    parser.add_argument("--folder", type=Path, default=Path("large-file"))
    parser.add_argument("--seconds", type=float, default=60.0, help="of training")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    file = given.folder / f"{given.megabytes:g}.csv"
    if not file.exists():
        partial = file.with_suffix(".partial")
        write_csv(partial, given.megabytes)
        partial.rename(file)
    command = [sys.executable, "-m", "coordinator", "train", "--data", str(file)]
    command += ["--data-option", "target=answer", "--model", "logistic"]
    command += ["--algorithm", given.algorithm, "--max-seconds", str(given.seconds)]
    command += ["--batch-size", "128", "--n-push", "10", "--n-fetch", "10"]
    command += ["--processes", "2", "--evaluate-every", "1", "--folder", str(given.folder / "runs")]
    environment = {**os.environ, "DISTBELIEF_CACHE": str(given.folder / "cache")}
    began, largest = time.monotonic(), dict[int, tuple[str, int]]()
    with subprocess.Popen(command, env=environment) as training:
        while training.poll() is None:
            for pid, (role, size) in children_of(psutil.Process(training.pid)).items():
                known, most = largest.get(pid, (role, 0))
                largest[pid] = known, max(size, most)  # at its end a process has no name
            time.sleep(POLL_S)
    print(f"{file.stat().st_size / MB:,.0f} MB, {time.monotonic() - began:.0f} s in all")
    for role, size in sorted(largest.values()):
        if "worker" in role:
            print(f"largest resident memory of a {role}: {size / MB:.0f} MB")
    sys.exit(training.returncode)


if __name__ == "__main__":
    main()
