"""A report knows of a run what its folder says, and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.files import checkpoint
from distbelief.coordinator.report.history import HeldoutPoint, UnitDone, smooth, training
from distbelief.coordinator.report.reading import read
from distbelief.coordinator.report.secrets import without_secrets
from distbelief.coordinator.sandblaster.dispatch_log import Fate
from tests.unit.coordinator.report import journals
from tests.unit.coordinator.report.journals import (
    N_TRAIN,
    at,
    environment,
    folder_of,
    hybrid,
    start,
    unit,
)


def test_a_run_that_is_not_there_is_named_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"no run nobody in {tmp_path}: .* runs"):
        read(tmp_path / "nobody")


def test_a_run_without_a_journal_says_so(tmp_path: Path) -> None:
    history = read(folder_of(tmp_path / "run"))
    assert "no journal" in history.notes[0]


def test_a_run_without_an_end_says_that_it_goes_on_or_was_killed(tmp_path: Path) -> None:
    history = read(folder_of(tmp_path / "run", environment(), start(), unit(1.0, 1.0)))
    assert "goes on, or its coordinator was killed" in history.notes[0]


def test_the_time_between_a_stop_and_its_resume_is_no_training(tmp_path: Path) -> None:
    history = read(
        folder_of(
            tmp_path / "run",
            environment(),
            start(0.5, 0.25),
            unit(5.25, 5.0),
            environment(900.0),
            at(901.0, "restored", what="shard 0 came back"),
            start(902.0, 5.0, fence=3),
            unit(903.0, 6.0),
            at(904.0, "lost", what="shard 1"),
        )
    )
    assert [each.time_s for each in history.units] == [5.0, 6.0]
    assert [(each.kind, each.time_s) for each in history.marks] == [
        ("start", 0.25),
        ("restored", 5.0),
        ("resumed", 5.0),
        ("lost", 7.0),
    ]


def test_the_clock_never_goes_back_where_a_killed_coordinator_had_committed_less(
    tmp_path: Path,
) -> None:
    history = read(
        folder_of(
            tmp_path / "run",
            environment(),
            start(),
            unit(7.0, 7.0),
            environment(50.0),
            start(51.0, 4.0, fence=2),
            unit(52.0, 5.0),
        )
    )
    assert [each.time_s for each in history.units] == [7.0, 8.0]
    assert history.ended_s == 8.0


def test_a_unit_tells_its_mean_loss_and_the_examples_seen_until_then(tmp_path: Path) -> None:
    history = read(folder_of(tmp_path / "run", environment(), start(), unit(1.0, 1.5)))
    (found,) = history.units
    assert (found.loss, found.seen, found.worker) == (0.5, 1.5 * N_TRAIN, "1@here")
    assert history.staleness == {0: 3, 2: 2}


def test_losses_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", environment(), start(), unit(1.0, 1.0, loss_sum=math.inf))
    assert "The losses of 1 units are not finite, and not drawn." in read(run).notes


def test_refused_updates_are_marked(tmp_path: Path) -> None:
    history = read(folder_of(tmp_path / "run", environment(), start(), unit(1.0, 1.0, refused=4)))
    assert history.marks[-1].text == "unit downpour-0-10: 4 updates refused, not finite"


def test_sandblaster_sees_all_examples_in_every_evaluation(tmp_path: Path) -> None:
    history = read(journals.sandblaster(tmp_path / "run"))
    assert [each.seen for each in history.iterations] == [N_TRAIN, 3 * N_TRAIN]
    assert history.heldout == [
        HeldoutPoint(1, 1.0, 4.1, 3 * N_TRAIN, 0.7, {"accuracy": 0.5, "loss": 0.7})
    ]


def test_of_a_hybrid_both_parts_are_counted_one_after_the_other(tmp_path: Path) -> None:
    history = read(hybrid(tmp_path))
    assert [each.seen for each in history.units] == [100, 200]
    assert [each.seen for each in history.iterations] == [300, 500, 600]
    assert [each.seen for each in history.heldout] == [200, 500]
    assert [loss for _, _, loss in training(history)] == [0.5, 0.5, 1.0, 0.5, 1 / 3]
    (mark,) = (each for each in history.marks if each.kind == "handover")
    assert mark.text == "L-BFGS goes on after 2 passes: the loss hardly falls any more"
    assert not history.notes


def test_dispatches_are_read_with_their_workers(tmp_path: Path) -> None:
    _, second = read(journals.sandblaster(tmp_path / "run")).evaluations
    assert [(each.worker, each.fate) for each in second.dispatches] == [
        ("1@here", Fate.WON),
        ("", Fate.UNANSWERED),
        ("1@here", Fate.WON),
    ]
    assert [(each.portion, each.number) for each in second.repeated] == [(1, 1)]


def test_portions_that_were_sent_again_are_told_with_what_became_of_them(tmp_path: Path) -> None:
    (mark,) = [
        each for each in read(journals.sandblaster(tmp_path / "run")).marks if each.kind == "resent"
    ]
    assert mark.text == (
        "evaluation 2: portions sent again 1, of these won 1, without any answer 1"
    )


def test_evaluations_whose_portions_are_not_noted_are_counted(tmp_path: Path) -> None:
    noted = [journals.portions(1.0, number) for number in (1, 2, 5)]
    history = read(folder_of(tmp_path / "run", environment(), start(), *noted))
    assert any(note.startswith("The portions of 2 evaluations are not") for note in history.notes)
    whole = read(journals.sandblaster(tmp_path / "whole"))
    assert whole.notes == []


def test_events_that_are_not_understood_are_counted_and_cost_no_others(tmp_path: Path) -> None:
    broken = [at(1.0, "unit"), at(1.0, "portions", evaluation=1), at(1.0, "start", fence="x")]
    history = read(folder_of(tmp_path / "run", environment(), start(), *broken, unit(2.0, 2.0)))
    assert len(history.units) == 1
    assert "3 events of the journal could not be understood." in history.notes


def test_no_password_is_read(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "run",
        environment(),
        start(),
        at(1.0, "lost", what="rediss://user:pa/ss#w@ord@host:1 is gone"),
        outcome={"state": "failed", "error": "cannot open s3://key:hush@bucket/x"},
        data="s3://key:hush@bucket/x",
        data_options={"secret_key": "hush", "delimiter": ";"},
    )
    history = read(folder)
    text = repr(history)
    assert "hush" not in text
    assert "ss#w" not in text
    assert "ord@" not in text
    assert history.config["data"] == "s3://...@bucket/x"
    assert history.config["data_options"] == {"secret_key": "...", "delimiter": ";"}


def test_what_is_no_secret_stays_as_it_is() -> None:
    document = {"host": "pid@host", "n": [1, None, "a@b"], "url": "redis://host:1/0"}
    assert without_secrets(document) == document


@pytest.mark.parametrize(
    ("settings", "slot", "expected"),
    [
        ({"optimizer": "adagrad", "epsilon": 1e-10}, "adagrad", 0.1 / 2),
        ({"optimizer": "adagrad", "learning_rate_decay": 0.1}, "adagrad", 0.1 / 2 / 2),
        ({"optimizer": "rmsprop"}, "rmsprop", 0.1 / 2),
        ({"optimizer": "ftrl", "ftrl_beta": 3.0}, "ftrl_n", 0.1 / 5),
        ({"optimizer": "adam", "beta1": 0.0, "beta2": 0.0}, "adam_v", 0.1 / 2),
    ],
)
def test_learning_rates_come_from_the_sums_of_a_checkpoint(
    tmp_path: Path, settings: dict[str, Any], slot: str, expected: float
) -> None:
    folder = folder_of(
        tmp_path / "run",
        environment(),
        start(fence=1),
        unit(7.0, 7.0),
        environment(10.0),
        start(11.0, 4.0, fence=3),
        learning_rate=0.1,
        **settings,
    )
    document = {"driver": {"seconds": 5.0}, "shards": [{"applied": 10}, {"applied": 9}]}
    squares = [(f"slot:{slot}", np.full(4, 4.0, np.float32))]
    checkpoint.write(folder / "checkpoints", "000003-000002", document, squares)
    (rates,) = read(folder).rates
    assert rates.time_s == 8.0
    assert rates.values == pytest.approx(expected)


def test_a_damaged_checkpoint_costs_only_its_learning_rates(tmp_path: Path) -> None:
    folder = journals.downpour(tmp_path / "run")
    (folder / "checkpoints" / "000001-000001").mkdir(parents=True)
    assert read(folder).rates == []


def test_losses_are_means_over_examples_and_leave_out_what_is_not_finite() -> None:
    losses = [(1.0, 10), (math.inf, 10), (4.0, 30), (2.0, 10)]
    units = [UnitDone(1.0, 2.0, "w", 1.0, n, loss, 1, Counter()) for loss, n in losses]
    assert smooth(units, most=1) == [(1.0, 2.0, (10 + 120 + 20) / 50)]
    assert len(smooth(units)) == 3


def test_evaluations_of_two_classes_are_understood_though_one_of_them_has_a_name(
    tmp_path: Path,
) -> None:
    scored = journals.at(
        2.0,
        "evaluation",
        number=1,
        passes=1.0,
        seconds=2.0,
        measures={"accuracy": 0.9, "auc": None, "auc_exact": True, "positive": "malignant"},
    )
    history = read(folder_of(tmp_path / "run", environment(), start(), scored))
    assert not any("could not be understood" in note for note in history.notes)
    assert history.heldout[0].measures.keys() == {"accuracy", "auc"}


def test_a_restarted_process_is_an_event(tmp_path: Path) -> None:
    again = journals.at(3.0, "restarted", what="worker ended with exit code -9: started again")
    history = read(folder_of(tmp_path / "run", environment(), start(), again))
    assert [(each.kind, each.text[:6]) for each in history.marks][1:] == [("restarted", "worker")]
