"""A Downpour run that goes back to a checkpoint, and what the next coordinator knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST
from tests.unit.coordinator.downpour.test_driver import training
from tests.unit.coordinator.runs.stand_ins import StandInLeader


def test_a_best_model_that_is_lost_is_not_left_to_the_next_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))
    run = training()
    before = run.driver.capture()
    checkpoint.write(tmp_path, "000001-000001", {**before.document, "rank": None}, before.vectors())
    run.driver.run()
    assert run.driver.evaluations.best is not None

    def latest() -> Checkpoint:
        found = checkpoint.latest(tmp_path, print)
        assert found is not None
        return found

    run.store.delete()
    run.session.renew()
    run.driver.restore(latest, print)
    assert run.driver.evaluations.best is None
    commits = cast("StandInLeader", run.session.leader).commits
    noted, saved = commits[-1]["evaluations"], before.document["driver"]["evaluations"]
    assert (noted["history"], noted["best"]) == (saved["history"], saved["best"])


def test_a_best_model_that_not_every_shard_holds_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that died after it had brought a shard back, before the best model."""
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))
    run = training()
    run.driver.run()
    assert run.driver.evaluations.best is not None
    run.store.drop(BEST)
    run.session.renew()
    run.driver.restore(lambda: pytest.fail("nothing else was lost"), print)
    assert run.driver.evaluations.best is None
    run.driver.finish(resumable=False)
