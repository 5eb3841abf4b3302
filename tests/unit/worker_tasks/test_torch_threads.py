"""A worker process computes on one thread, with torch as with BLAS; others get theirs back."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
import threadpoolctl

from distbelief.worker_tasks import process
from distbelief.worker_tasks.process import computing, limit_torch


class Torch:
    """As much of torch as there is to it."""

    threads = 4

    def get_num_threads(self) -> int:
        return self.threads

    def set_num_threads(self, threads: int) -> None:
        self.threads = threads


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Torch]:
    made = Torch()
    monkeypatch.setitem(sys.modules, "torch", made)
    yield made
    process._threads_of_torch.clear()


def test_torch_is_kept_to_one_thread_where_a_model_has_imported_it(torch: Torch) -> None:
    limit_torch()
    assert torch.threads == 1


def test_torch_is_not_imported_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    limit_torch()
    assert "torch" not in sys.modules


def test_a_worker_of_somebody_elses_has_its_threads_again_after_a_task(torch: Torch) -> None:
    threads = blas_threads()
    with computing():
        assert (torch.threads, blas_threads()) == (1, [1] * len(threads))
    assert (torch.threads, blas_threads()) == (4, threads)


def test_torch_that_a_task_imported_has_its_threads_again_as_well(
    torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    with computing():
        monkeypatch.setitem(sys.modules, "torch", torch)  # the model did
        limit_torch()
        assert torch.threads == 1
    assert torch.threads == 4


def test_a_worker_of_ours_keeps_to_one_thread(
    torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "is_ours", lambda: True)
    with computing():
        pass
    assert torch.threads == 1


def blas_threads() -> list[int]:
    np.zeros((2, 2)) @ np.zeros((2, 2))  # it is loaded
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]


def test_the_last_of_several_tasks_in_threads_leaves_what_the_first_one_found(torch: Torch) -> None:
    threads = blas_threads()
    first, second = computing(), computing()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (torch.threads, blas_threads()) == (1, [1] * len(threads))
    second.__exit__(None, None, None)
    assert (torch.threads, blas_threads()) == (4, threads)
