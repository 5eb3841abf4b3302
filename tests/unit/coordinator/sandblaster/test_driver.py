"""Ends of a Sandblaster run that are no fault of servers or workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import Diverged, NotFinite
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster import driver as sandblaster
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.unit.coordinator.runs.stand_ins import StandInLeader, no_checkpoints

FENCE = 1


def test_a_loss_without_a_lower_bound_ends_as_diverged_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path))
    config = RunConfig(algorithm="sandblaster", model="linear", data="synthetic:linear")
    problem = prepare(config, n_servers=1)
    store = MemoryVectorStore(problem.layout, fence=FENCE)
    store.create(np.asarray(problem.initial_values.parameters))
    record = RunRecord(
        "run", problem.config, problem.layout, (), problem.dataset.fingerprint, Schema(20)
    )
    nobody = cast("Any", None)
    session = Session(record, nobody, nobody, nobody, cast("Any", StandInLeader(FENCE)))
    hooks = DriverHooks(lambda status: None, lambda: None, lambda: False, no_checkpoints())

    def runaway(*_: object) -> Iterator[None]:
        raise NotFinite("vec:x9 would hold numbers that are not finite")
        yield

    monkeypatch.setattr(sandblaster, "minimiser", runaway)
    with pytest.raises(Diverged, match=r"ran away: vec:x9 .* bounded from below\? --l2 bounds it"):
        Sandblaster(session, problem, hooks, store, workers=1).run()
