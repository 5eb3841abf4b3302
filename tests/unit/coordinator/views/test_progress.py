"""People see every figure of a training, on a terminal and in a log."""

from __future__ import annotations

import io
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from distbelief.app.models.metric import Metric
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.coordinator.progress.outcome import EndReason, HeldoutEvaluation, Outcome
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import Outstanding, Status, Tally, median
from distbelief.coordinator.report.hindsight import Hindsight
from distbelief.coordinator.views import screen
from distbelief.coordinator.views.endings import document
from distbelief.coordinator.views.figures import figures
from distbelief.coordinator.views.progress import display, summarize
from distbelief.coordinator.views.tracker import ProgressTracker
from tests.unit.coordinator.views.statuses import (
    DOWNPOUR,
    EVALUATION,
    SANDBLASTER,
    THREE,
    status,
)

NUMBERS = ScoreFormatter(Task.REGRESSION, Metric.RMSE)
TWO = ScoreFormatter(Task.BINARY, Metric.ACCURACY, ("no", "yes"), threshold=0.25)


def shown(
    statuses: Sequence[Status], *, terminal: bool = False, score_formatter: ScoreFormatter = THREE
) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, force_interactive=terminal, width=100)
    with display(console, score_formatter) as display_:
        for each in statuses:
            display_.on_status(each)
    return text.getvalue()


FIGURES = {
    "passes": "2.5/10",
    "steps per second": "125",
    "training loss": "0.125",
    "held-out accuracy": "accuracy 0.9000",
    "held-out loss": "loss 0.25",
    "updates of each shard": "499/500",
    "staleness": "median 1, worst 7",
    "time left": "0:00:12",
}


@pytest.mark.parametrize("terminal", [False, True], ids=["log", "terminal"])
@pytest.mark.parametrize("figure", FIGURES)
def test_a_display_shows(figure: str, terminal: bool) -> None:
    assert FIGURES[figure] in shown([status()], terminal=terminal)


def test_a_log_has_a_line_for_each_status_that_is_shown() -> None:
    assert shown([status()]).count("\n") == 1


def test_a_regression_is_shown_with_its_root_mean_square_error() -> None:
    score = Score(4, 1.0, 0, 16.0)
    text = shown(
        [status(evaluation=HeldoutEvaluation(1, 1.0, 1.0, score))], score_formatter=NUMBERS
    )
    assert "rmse 2.0000" in text


def test_nothing_is_made_up_before_the_first_unit() -> None:
    text = shown(
        [status(steps=0, training_loss=math.nan, evaluation=None, shards=[], staleness=Counter())]
    )
    assert "loss -" in text
    assert "left ?" in text
    assert "held-out" not in text
    assert "updates -" in text


def test_trouble_is_shown_when_there_is_any() -> None:
    oldest = Outstanding("unit downpour-0-200", 14.0, "")
    shards = [ShardCounts(4, 2)]
    troubled = status(resent=3, waited_s=3.21, shards=shards, idle_s=12.0, oldest=oldest)
    waiting = "waiting 12 s for a worker to take unit downpour-0-200"
    for words in ("sent again 3", "refused 2", waiting, "waited 3.2 s for slower replicas"):
        assert words in shown([troubled])
        assert words.rstrip("0123456789 ") not in shown([status()])


def test_the_network_is_shown_where_there_is_room() -> None:
    used = NetworkUse(steps=100, sent=3_000_000, received=2_000_000, waited_s=1.0, seconds=4.0)
    assert "50 kB a step, 25% waiting" in shown([status(network=used)], terminal=True)
    assert "waiting" not in shown([status(network=used)])
    tracker = ProgressTracker(THREE)
    tracker.see(status(network=used))
    found = dict(figures(tracker.snapshot(status(network=used))))
    assert found["network"] == "50 kB a step, 25% waiting"


def test_many_shards_are_shown_as_a_range() -> None:
    text = shown([status(shards=[ShardCounts(count, 0) for count in range(90, 110)])])
    assert "updates 90 to 109 on 20 shards" in text


def test_a_terminal_says_that_one_replica_warms_up() -> None:
    assert "warm start" in shown([status(warming=True)], terminal=True)


def test_a_log_gets_a_line_for_every_evaluation_and_every_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(screen, "time", SimpleNamespace(monotonic=lambda: now))
    text = io.StringIO()
    with display(Console(file=text, width=100), THREE) as display_:
        for now, number in [(1, 1), (1.5, 1), (1.6, 2), (2.6, 2), (3.7, 2)]:  # noqa: B007
            evaluation = HeldoutEvaluation(number, 2.0, 1.5, EVALUATION.score)
            display_.on_status(status(evaluation=evaluation))
    assert text.getvalue().count("\n") == 3


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_is_printed_as_it_is(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, force_interactive=terminal, width=200)
    with display(console, TWO) as display_:
        display_.say("run 7: a [model] of 3 parameters")
    assert "run 7: a [model] of 3 parameters" in text.getvalue()


def outcome(**changes: Any) -> Outcome:
    settings: dict[str, Any] = {
        "run": "run",
        "reason": EndReason.PASSES,
        "heldout": EVALUATION,
        "evaluations": (EVALUATION,),
        "details": ("1,200 steps; updates applied: 120 on each of 2 shards, 120 planned",),
        "model_file": Path("runs/run/model.safetensors"),
        "checkpoint": None,
        "seconds": 12.3,
        "folder": Path("runs"),
        "unit": "passes",
    }
    return Outcome(**settings | changes)


def test_a_summary_says_how_it_ended_and_where_the_model_is() -> None:
    assert summarize(
        outcome(), THREE, Hindsight("--passes 80", "worse than the run before, x")
    ) == [
        "finished: all passes done, after 12.3 s",
        "1,200 steps; updates applied: 120 on each of 2 shards, 120 planned",
        "held-out accuracy 0.9000, loss 0.25 (the saved model, evaluation 1 of 1, after 2 passes)",
        "held-out log loss 0.0000",
        "to try next: --passes 80",
        "worse than the run before, x",
        "figures: distbelief report run",
        "model: runs/run/model.safetensors",
    ]


def test_a_summary_and_a_document_warn_of_a_model_that_has_learned_nothing() -> None:
    score = Score(10, 7.0, 6, log_loss_sum=7.0, confusion=((6, 0, 0), (4, 0, 0)), auc=0.5)
    found = outcome(heldout=HeldoutEvaluation(1, 2.0, 1.5, score), warning="it learned nothing")
    said = summarize(found, TWO, Hindsight())
    assert "warning: it learned nothing" in said
    assert not any("no better than always" in line for line in said)  # not said twice
    assert document(found, TWO, Hindsight())["warning"] == "it learned nothing"


def test_a_summary_of_two_classes_has_all_figures_and_the_confusion_matrix() -> None:
    score = Score(10, 5.0, 8, log_loss_sum=2.5, confusion=((5, 1, 0), (1, 3, 0)), auc=0.75)
    assert summarize(outcome(heldout=HeldoutEvaluation(1, 2.0, 1.5, score)), TWO, Hindsight())[
        2:-2
    ] == [
        "held-out accuracy 0.8000, loss 0.5, AUC 0.7500 "
        "(the saved model, evaluation 1 of 1, after 2 passes)",
        "held-out log loss 0.2500, precision 0.7500, recall 0.7500 at threshold 0.25",
        "always the commonest class: accuracy 0.6000",
        "confusion (rows: true class, columns: predicted):",
        "       no  yes",
        "   no   5    1",
        "  yes   1    3",
    ]


def test_a_summary_of_a_run_that_can_be_resumed_says_from_what_and_how() -> None:
    path = Path("runs/run/checkpoints/000001-000007")
    interrupted = outcome(reason=EndReason.INTERRUPTED, checkpoint=path, heldout=None)
    assert summarize(interrupted, THREE, Hindsight())[2:] == [
        "the saved model was not scored: it has the last parameters",
        f"checkpoint: {path}",
        "to go on: distbelief resume run",
        "figures: distbelief report run",
        "model: runs/run/model.safetensors",
    ]


def test_a_summary_without_held_out_data_claims_nothing() -> None:
    assert "held-out" not in " ".join(summarize(outcome(heldout=None), THREE, Hindsight()))


BATCH_FIGURES = {
    "iteration": "7/100",
    "loss": "0.125",
    "gradient norm": "0.5",
    "step length": "0.25",
    "evaluations": "9",
    "held-out accuracy": "accuracy 0.9000",
    "portions": "20/64 done, 3 out",
    "portions per second": ", 100/s",
    "backups": "4 sent, 2 won",
}


@pytest.mark.parametrize("terminal", [False, True], ids=["log", "terminal"])
@pytest.mark.parametrize("figure", BATCH_FIGURES)
def test_a_display_of_sandblaster_shows(figure: str, terminal: bool) -> None:
    assert BATCH_FIGURES[figure] in shown([SANDBLASTER], terminal=terminal)


def test_weights_that_are_not_zero_are_counted_only_under_an_l1_term() -> None:
    text = shown([replace(SANDBLASTER, nonzeros=1230)])
    assert "non-zero weights 1,230 of 7,840" in text
    assert "non-zero" not in shown([SANDBLASTER])


def test_a_terminal_says_which_method_minimises() -> None:
    assert "L-BFGS" in shown([SANDBLASTER], terminal=True)
    assert "OWL-QN" in shown([replace(SANDBLASTER, nonzeros=0)], terminal=True)


def test_a_portion_that_takes_long_is_named() -> None:
    assert "17" not in shown([SANDBLASTER])
    slow = Outstanding("portion 17", 40.0, "")
    text = shown([replace(SANDBLASTER, slow=slow, tally=Tally(retries=2))])
    assert "waiting 40 s for portion 17\n" in text
    assert "retries 2" in text
    known = replace(slow, worker="second@here")
    text = shown([replace(SANDBLASTER, slow=known)])
    assert "waiting 40 s for portion 17 on second@here" in text
    brief = replace(known, seconds=2.0)
    assert "waiting" not in shown([replace(SANDBLASTER, slow=brief)])


def test_a_unit_that_takes_long_is_named_with_its_worker() -> None:
    oldest = Outstanding("unit downpour-1-400", 40.0, "17@here")
    text = shown([status(oldest=oldest)])
    assert "waiting 40 s for unit downpour-1-400 on 17@here" in text
    assert "waiting" not in shown([status(oldest=replace(oldest, seconds=5.0))])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_the_median_of_counts_is_the_lower_middle_of_the_sorted_list(values: list[int]) -> None:
    assert median(Counter(values)) == sorted(values)[(len(values) - 1) // 2]


def test_the_median_of_nothing_is_zero() -> None:
    assert median(Counter()) == 0


def test_nobody_claims_a_speed_or_an_end_before_anything_was_done() -> None:
    for idle in (status(steps=0, examples=0), status(seconds=0.0)):
        assert "steps/s 0 " in shown([idle])
        assert "left ?" in shown([idle])


def test_a_notebook_has_one_panel_that_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    cell = SimpleNamespace(update=lambda data, raw: shown.append(data["text/html"]))

    def show(data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        shown.append(data["text/html"])
        return cell

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=show))
    monkeypatch.setattr(screen, "NOTEBOOK_EVERY_S", 0.0)
    console = Console(file=io.StringIO(), force_jupyter=True)
    with display(console, THREE) as display_:
        display_.on_status(status())
        display_.on_status(status(passes=5.0))
    assert ["2.5/10" in shown[0], "5.0/10" in shown[1], len(shown)] == [True, True, 2]
    assert shown[0].startswith("<pre")


def test_a_hand_over_is_news_and_what_follows_is_counted_anew() -> None:
    tracker = ProgressTracker(THREE)
    tracker.see(DOWNPOUR)
    why = "the loss hardly falls any more"
    tracker.hear(Event(0.0, "handover", {"passes": 3.0, "why": why}))
    tracker.see(replace(SANDBLASTER, seconds=5.0, examples=0))
    last = replace(SANDBLASTER, seconds=6.0, examples=500)
    tracker.see(last)
    seen = tracker.snapshot(last)
    assert seen.news.endswith(f"L-BFGS goes on after 3 passes: {why}")
    assert seen.method == "Sandblaster L-BFGS"
    assert seen.speed.examples == pytest.approx(500)
