"""Vowpal Wabbit with its defaults, in one process: parsing is inside the clock, as it is there.

The first pass reads the text and writes a cache, which the others read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from vowpalwabbit.pyvw import Workspace

from contest.clock import Clock
from peers.sparse import answer, drawn, log_loss, vw_file


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    folder = Path(options["folder"])
    trained, held_out = drawn(options)
    file = vw_file(folder / "train.txt", trained)
    test = vw_file(folder / "heldout.txt", held_out)
    n, labels = len(trained.labels), held_out.labels
    bits = (options["features"] - 1).bit_length()
    model, said, cache = (folder / name for name in ("model", "chances", "cache"))

    def work(request: dict[str, Any]) -> dict[str, Any]:
        passes, clock = request["passes"], Clock()
        words = f"-d {file} -b {bits} --loss_function logistic --passes {passes} -f {model}"
        Workspace(f"{words} --cache_file {cache} -k --holdout_off --quiet").finish()
        found = answer(clock, passes * n)
        Workspace(f"-t -i {model} -d {test} -p {said} --link logistic --quiet").finish()
        return {**found, "log_loss": log_loss(np.loadtxt(said), labels)}

    yield work
