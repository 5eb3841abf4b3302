"""A worker process computes on one thread, with torch as with BLAS."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from distbelief.worker_tasks import context


def test_torch_is_kept_to_one_thread_where_a_model_has_imported_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=threads.append))
    context._one_thread_for_torch()
    assert threads == [1]


def test_torch_is_not_imported_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    context._one_thread_for_torch()
    assert "torch" not in sys.modules
