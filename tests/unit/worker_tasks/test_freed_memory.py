"""A worker process keeps the memory of arrays that were freed for those that come next."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from distbelief.worker_tasks import process

#: Makes and frees arrays as large as a portion's chunk of MNIST in double precision, and
#: prints how many page faults that costs.
ARRAYS_COME_AND_GO = """
import resource, sys
import numpy as np
from distbelief.worker_tasks import process

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def go(times):
    for _ in range(times):
        arrays = [np.ones((512, 784)) for _ in range(4)]
        del arrays

if sys.argv[1] == "kept":
    process.set_up()
go(3)
before = faults()
go(50)
print(faults() - before)
"""

PAGES = 50 * 4 * 512 * 784 * 8 // 4096


def faults(how: str) -> int:
    command = [sys.executable, "-c", ARRAYS_COME_AND_GO, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another allocator")
def test_arrays_that_come_and_go_cost_no_page_faults() -> None:
    assert faults("kept") < PAGES / 100


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    process._keep_freed_memory()
