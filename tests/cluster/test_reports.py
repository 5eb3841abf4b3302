"""What real runs leave in their folders is what a report reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.coordinator.report.reading import read
from distbelief.coordinator.sandblaster.dispatch_log import Fate

Train = Callable[..., Any]


def test_sandblaster_notes_who_computed_which_portion_when(
    train_shared: Train, tmp_path: Path
) -> None:
    trained = train_shared(algorithm="sandblaster", model="softmax", iterations=5, portions=6)
    history = read(tmp_path / trained.outcome.run)
    assert history.notes == []
    numbers = [each.number for each in history.evaluations]
    assert numbers == list(range(1, len(numbers) + 1))
    # Some may be made again, with a coarser quantum.
    assert len(numbers) >= sum(each.evaluations for each in history.iterations) >= 6
    for evaluation in history.evaluations:
        counted = [each for each in evaluation.dispatches if each.fate is Fate.WON]
        assert sorted(each.portion for each in counted) == list(range(6))
        for each in counted:
            assert each.worker
            assert 0 <= each.sent <= (each.began or 0.0) <= (each.ended or 0.0)
            assert (each.ended or 0.0) <= evaluation.seconds
    assert history.n_train == trained.problem.n_train
    assert history.environment[0]["parameter_servers"][0]["version"].split()[0] in (
        "Redis",
        "Valkey",
    )


def test_downpour_notes_its_work_and_the_learning_rates_fall(
    train_shared: Train, tmp_path: Path
) -> None:
    trained = train_shared(passes=3)
    history = read(tmp_path / trained.outcome.run)
    assert history.notes == []
    assert [each.kind for each in history.marks] == ["start", "end"]
    assert sum(each.examples for each in history.work) == 3 * trained.problem.n_train
    assert history.curves is not None
    assert history.curves.examples == trained.problem.n_heldout
    assert len(history.curves.roc) > 2
    assert history.units[-1].seen == pytest.approx(3 * trained.problem.n_train)
    first, *_, last = history.rates
    assert first.values[0] > last.values[0]
    assert (
        history.heldout[-1].measures["accuracy"] == trained.outcome.evaluations[-1].score.accuracy
    )
