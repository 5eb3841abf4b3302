"""What a process keeps from task to task is given back once nobody asks for it."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np

from distbelief.app.layout.tensors import Vector
from distbelief.worker_tasks.evaluation import _source
from distbelief.worker_tasks.kept import give_back, kept
from distbelief.worker_tasks.sandblaster import _parameters

DEADLINE_S = 60.0


def come_true(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not what() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return what()


def test_the_last_values_are_kept_while_they_are_asked_for() -> None:
    made: list[int] = []

    @kept(2, seconds=5.0)
    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    assert [double(each) for each in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made[:4] == [1, 2, 3, 2]


def test_the_vector_of_a_run_that_is_over_is_gone_and_is_made_again_when_it_is_asked_for() -> None:
    made: list[weakref.ref[Vector]] = []

    @kept(1, seconds=0.05)
    def vector(size: int) -> Vector:
        found = np.zeros(size)
        made.append(weakref.ref(found))
        return found

    for _ in range(2):
        assert vector(1000).size == 1000
        assert come_true(lambda: made[-1]() is None)
    assert len(made) == 2


def test_vectors_that_tasks_fetch_are_kept_so() -> None:
    for fetched in (_source, _parameters):
        assert not hasattr(fetched, "cache_info")


def test_all_of_it_is_given_back_at_once_with_its_thread() -> None:
    made: list[int] = []

    @kept(1, seconds=1000.0)
    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    for _ in range(2):
        assert [double(1), double(1)] == [2, 2]
        give_back()
        assert not any(each.name == "kept" for each in threading.enumerate())
    assert made == [1, 1]
