"""Counters that only grow are added up, whatever becomes of those who count."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.comparison.meter import Count
from distbelief.worker_tasks.usage import cpu_seconds

#: A program that computes for so long, and then waits for the end of its input.
BURN = "import sys, time\nwhile time.process_time() < {}: pass\nprint(flush=True)\nsys.stdin.read()"


@given(st.lists(st.integers(0, 100), min_size=1), st.lists(st.integers(0, 100)))
def test_a_counter_that_begins_again_goes_on(before, after) -> None:
    count = Count()
    count.see("one", 50.0)
    for value in (*sorted(before), *sorted(after)):
        count.see("one", 50.0 + value if value in before else float(value))
    assert count.total >= 0


def test_what_was_used_before_the_first_look_does_not_count() -> None:
    count = Count()
    for name, value in (("a", 1000.0), ("b", 5.0), ("a", 1001.5), ("b", 5.0), ("a", 0.25)):
        count.see(name, value)
    assert count.total == 1.75  # after its third look "a" began again


@pytest.mark.skipif(sys.platform != "linux", reason="living children are asked on Linux only")
def test_children_count_while_they_live_and_once_they_have_ended() -> None:
    began, seconds = time.process_time(), 0.3
    first = cpu_seconds()
    with subprocess.Popen(
        [sys.executable, "-c", BURN.format(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alive = cpu_seconds()
    ended = cpu_seconds()
    own = time.process_time() - began
    assert first is not None
    assert alive is not None
    assert ended is not None
    assert seconds - 0.03 <= alive - first <= seconds + own + 0.1
    assert ended >= alive - 0.03  # what it had used is not lost with it
