"""Writers of a checkpoint that are killed, one at each of their calls to the file system:
``python killed_writer.py FOLDER``.

Each has a folder of its own, FOLDER/0, FOLDER/1, ..., with a whole checkpoint ``first``, and
is killed (SIGKILL) at its n-th call while it writes ``second``. Prints how many there were.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.files import checkpoint
from distbelief.app.layout.tensors import Vector

#: Functions in C behind which a file may change; each is a point before it and one after.
CALLS = {"open", "write", "tofile", "flush", "fsync", "close", "mkdir", "rename", "rmdir", "unlink"}


def vectors(number: int) -> Iterator[tuple[str, Vector]]:
    random = np.random.default_rng(number)
    yield "params", random.normal(size=5000).astype(np.float32)
    yield "slot:adagrad", random.normal(size=5000)


def document(number: int) -> dict[str, Any]:
    return {"number": number, "shards": [{"start": 0, "stop": 5000, "sequences": {"0": 7}}]}


class Assassin:
    """Kills its own process at the n-th point."""

    def __init__(self, point: int) -> None:
        self._left = point

    def __call__(self, frame: object, event: str, function: Any) -> None:
        if event in {"c_call", "c_return"} and function.__name__ in CALLS:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def write_twice(folder: Path, point: int) -> None:
    checkpoint.write(folder, "first", document(1), vectors(1))
    sys.setprofile(Assassin(point))
    checkpoint.write(folder, "second", document(2), vectors(2))


def main() -> None:
    for point in itertools.count():
        writer = os.fork()
        if writer == 0:
            write_twice(Path(sys.argv[1]) / str(point), point)
            os._exit(0)
        if os.waitpid(writer, 0)[1] == 0:  # nobody killed it: there was no such call any more
            print(point)  # noqa: T201  (it is a program)
            return


if __name__ == "__main__":
    main()
