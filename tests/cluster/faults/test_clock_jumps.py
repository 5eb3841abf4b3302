"""The control server's clock is set an hour forward and back in the middle of trainings."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.faults.faulty_cluster import DEADLINE_S, SHARDS, FaultyCluster
from tests.cluster.faults.paced import (
    Minimised,
    downpour,
    go,
    minimised,
    sandblaster,
)
from tests.cluster.processes import children_of, send
from tests.native import compiler

Start = Callable[..., Any]
Until = Callable[..., None]

HOUR_S = 3600
PASSES, ITERATIONS = 10, 15
PLANNED = 2 * 20 * PASSES
#: Forward, and back.
JUMPS = (HOUR_S, 0)

#: What a server takes for the time of day: it is that of a file ahead of ours.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *ahead;

__attribute__((constructor)) static void open_it(void) {
    if (!strstr(program_invocation_short_name, "-server")) return;
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
    void *map = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) ahead = map;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, out);
    if (!failed && ahead && clock == CLOCK_REALTIME) out->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""

SetClock = Callable[[int], None]


@pytest.fixture
def set_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SetClock]:
    """Sets the clocks of servers that are started from now on so many seconds ahead."""
    source, shim, ahead = (tmp_path / name for name in ("shim.c", "shim.so", "ahead"))
    source.write_text(SHIM)
    subprocess.run(
        [compiler(), "-fPIC", "-shared", "-o", str(shim), str(source), "-ldl"], check=True
    )
    ahead.write_bytes(bytes(8))
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("CLOCK_AHEAD", str(ahead))
    with ahead.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:

        def set_to(seconds: int) -> None:
            shared[:] = struct.pack("q", seconds)

        yield set_to


@pytest.fixture
def faulty(set_clock: SetClock, tmp_path: Path) -> Iterator[FaultyCluster]:
    cluster = LocalCluster(servers=2, processes=0, folder=tmp_path / "cluster", wait_s=DEADLINE_S)
    with cluster, closing(FaultyCluster(cluster)) as faulty:
        faulty.start_worker(2)
        yield faulty


def test_trainings_survive_a_clock_that_jumps_and_a_worker_that_dies_then(
    faulty: FaultyCluster,
    set_clock: SetClock,
    undisturbed: Minimised,
    command: Start,
    until: Until,
    tmp_path: Path,
) -> None:
    endpoints = faulty.cluster.endpoints
    words = (
        (*downpour(tmp_path), f"--passes={PASSES}"),
        (*sandblaster(tmp_path), f"--iterations={ITERATIONS}"),
    )
    runs = [command(*each, endpoints=endpoints) for each in words]

    def done() -> list[int]:
        return [len(faulty.told(each.run, "unit", "iteration")) for each in runs]

    def now() -> int:
        return int(faulty.control.one("TIME")[0])

    for ahead in JUMPS:
        before = done()
        until(lambda before=before: all(map(int.__gt__, done(), before)), "units and iterations")
        set_clock(ahead)
        until(lambda ahead=ahead: abs(now() - time.time() - ahead) < HOUR_S / 2, "the jump")
        # Who dies now holds a lease that ended an hour ago, or will end in an hour.
        worker = faulty.cluster.children[-1].process.pid
        send(children_of(worker)[0])
        began, before = time.monotonic(), done()
        until(lambda before=before: all(map(int.__gt__, done(), before)), "both go on")
        print(f"{ahead:+d} s: both went on {time.monotonic() - began:.2f} s later")
    go(tmp_path)
    assert runs[0].ends() == 0, runs[0].err
    assert f"applied: {PLANNED} on each of {SHARDS} shards, {PLANNED} planned" in runs[0].out
    found = minimised(faulty, runs[1]).losses
    assert found == {each: loss for each, loss in undisturbed.losses.items() if each <= ITERATIONS}
