"""A gradient counts only if every shard has every portion, whatever the workers reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.errors import DataLost, ShardBehind, WorkerMismatch
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.runs.batch import Report
from distbelief.app.runs.offers import Offer
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.batch import BatchEvaluator
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.portion_count import Cut

LAYOUT = Layout.plan([TensorSpec("w", (6,))], n_servers=2, block_numbers=3)
PORTIONS = 4
FENCE = 3


class ForgetfulStore(MemoryVectorStore):
    """After each of its first ``losses`` evaluations, shard 1 has lost its last portion."""

    losses = 0

    def counted(self, evaluation: int) -> list[int]:
        if self.losses:
            self.losses -= 1
            shard = self._present()[1]
            shard.counted.pop()
        return super().counted(evaluation)


class Workers:
    """A session whose portions are computed in this process as soon as they are sent."""

    def __init__(self, store: MemoryVectorStore) -> None:
        self.config = RunConfig(algorithm="sandblaster")
        self.control = None
        self.record = SimpleNamespace(run="run")
        self.fence = FENCE
        self._store = store
        self.reports: list[Report] = []

    def offering(self, run: str, fence: int, bundles: Iterable[Sequence[Offer]]) -> Sequence[Any]:
        for offer in (each for bundle in bundles for each in bundle):
            self.answer(*offer)
        return ()

    def answer(self, evaluation: int, portion: int, dispatch: int) -> None:
        share = np.full(LAYOUT.size, float(portion + 1))
        self._store.accumulate(FENCE, evaluation, "vec:g", portion, share)
        done = Report(FENCE, evaluation, portion, dispatch, "here", 1.0, portion + 1.0)
        self.reports.append(done)

    def send_shift(self) -> int:
        return len(self.reports)

    def collect(self, *_: Any) -> Sequence[Report]:
        reports, self.reports = self.reports, []
        return reports

    def note(self, kind: str, **fields: Any) -> None:
        pass


def evaluated(
    losses: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[BatchEvaluator, ForgetfulStore, float]:
    store = ForgetfulStore(LAYOUT, fence=FENCE)
    store.create(np.zeros(LAYOUT.size))
    store.losses = losses
    workers = Workers(store)
    monkeypatch.setattr("distbelief.app.runs.batch.announce", lambda *_: None)
    monkeypatch.setattr("distbelief.app.runs.batch.collect", workers.collect)
    monkeypatch.setattr("distbelief.app.runs.offers.offering", workers.offering)
    cut = Cut(PORTIONS, PORTIONS, math.inf)
    sums = BatchEvaluator(cast("Session", workers), store, cut, 2, lambda: None)
    return sums, store, sums.evaluate(Evaluate("x", "g"))


def test_an_evaluation_that_a_shard_lost_a_portion_of_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert evaluated(0, monkeypatch)[2] == PORTIONS
    message = "shard 1 lacks 1 of 4 portions that it had acknowledged: its server came back"
    with pytest.raises(ShardBehind, match=message):
        evaluated(1, monkeypatch)


def test_a_worker_that_misses_data_leaves_them_to_the_coordinator_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def miss(self: Workers, evaluation: int, portion: int, dispatch: int) -> None:
        answer = Report(FENCE, evaluation, portion, dispatch, "w", error="older", lost=True)
        self.reports.append(answer)

    monkeypatch.setattr(Workers, "answer", miss)
    with pytest.raises(DataLost, match=r"^older$"):
        evaluated(0, monkeypatch)


def test_a_worker_with_other_code_ends_the_run_at_its_first_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Workers, evaluation: int, portion: int, dispatch: int) -> None:
        answer = Report(FENCE, evaluation, portion, dispatch, "w", error="no", mismatch=True)
        self.reports.append(answer)

    monkeypatch.setattr(Workers, "answer", refuse)
    with pytest.raises(WorkerMismatch, match=r"^no$"):
        evaluated(0, monkeypatch)
