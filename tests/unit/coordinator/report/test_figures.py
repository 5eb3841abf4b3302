"""The figures of a report draw what was, and every one can be drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from distbelief.coordinator.report import drawing, writing
from distbelief.coordinator.report.history import Work
from distbelief.coordinator.report.plots import curves
from distbelief.coordinator.report.plots.downpour import (
    BARS,
    staleness_over_time,
    staleness_shares,
    staleness_width,
)
from distbelief.coordinator.report.plots.learning import metric
from distbelief.coordinator.report.plots.plot import Histories, drawings
from distbelief.coordinator.report.plots.portions import (
    MOST_LANES,
    MOST_SILENT,
    Bar,
    bars,
    lanes,
    pick_evaluation,
)
from distbelief.coordinator.report.plots.theme import DARK, LIGHT, Theme
from distbelief.coordinator.report.plots.throughput import busiest, rate, throughput
from distbelief.coordinator.report.reading import read
from distbelief.coordinator.runs.folder import RunFolder
from tests.unit.coordinator.report import journals
from tests.unit.coordinator.report.journals import N_TRAIN, environment, folder_of, start, unit


def test_throughput_spreads_work_over_its_time_and_loses_no_example() -> None:
    work = [Work("a", 2.0, 2.0, 100), Work("b", 3.0, 1.0, 60), Work("b", 3.5, 0.0, 7)]
    edges = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert throughput(work, edges) == pytest.approx([50, 50, 60, 7])


def test_workers_that_did_most_come_first() -> None:
    assert busiest([Work("a", 1, 1, 5), Work("b", 1, 1, 9), Work("a", 2, 1, 5)]) == ["a", "b"]


def test_a_portion_counts_its_share_of_the_examples(tmp_path: Path) -> None:
    work = read(journals.sandblaster(tmp_path / "run")).work
    assert sum(each.examples for each in work) == 2 * N_TRAIN  # the one without an answer: none
    assert [each.time_s for each in work] == pytest.approx([0.5, 1.0, 2.5, 4.0])


def test_the_rate_of_a_run_is_over_all_its_seconds(tmp_path: Path) -> None:
    history = read(journals.downpour(tmp_path / "run"))
    assert rate(history) == pytest.approx(150 / history.ended_s)


def test_staleness_above_the_last_bar_is_in_the_last_bar() -> None:
    few = Counter({0: 3, 2: 1})
    assert staleness_width([few]) == 1
    assert staleness_shares(few, 1)[:4] == [0.75, 0.0, 0.25, 0.0]
    shares = staleness_shares(Counter({0: 1, BARS - 1: 1, 500: 2}), 1)
    assert shares == [0.25, *[0.0] * (BARS - 2), 0.75]


def test_bars_are_as_wide_as_nearly_all_pushes_need() -> None:
    counts = Counter({63: 99, 1000: 1})
    assert staleness_width([Counter({0: 1}), counts]) == 4
    assert staleness_shares(counts, 4)[63 // 4] == 0.99


def test_staleness_over_time_has_median_and_worst_of_each_stretch(tmp_path: Path) -> None:
    spread = {"0": 60, "3": 35, "9": 5}
    events = [unit(1.0, 1.0, staleness=spread), unit(2.0, 2.0, staleness={})]
    history = read(folder_of(tmp_path / "run", environment(), start(), *events))
    assert staleness_over_time(list(history.units)) == [(1.0, 0, 3, 9)]


def test_the_timeline_shows_the_evaluation_in_which_portions_were_sent_again(
    tmp_path: Path,
) -> None:
    evaluation = pick_evaluation(read(journals.sandblaster(tmp_path / "run")))
    assert evaluation is not None
    assert evaluation.number == 2
    shown = bars(evaluation)
    assert [(bar.lane, bar.start, bar.stop, bar.kind) for bar in shown] == [
        ("1@here", 0.1, 0.5, "counted"),
        ("portion 1, copy 1", 0.0, 2.0, "no answer"),
        ("1@here", 1.1, 2.0, "counted, sent again"),
    ]
    assert lanes(shown) == ["1@here", "portion 1, copy 1"]


def test_of_many_lanes_those_stay_where_something_happened() -> None:
    workers = [Bar(f"{number:03d}@here", 0.0, 1.0, number, "counted") for number in range(100)]
    late = Bar("099@here", 2.0, 3.0, 7, "too late")
    silent = [Bar(f"portion {n}, copy 1", n, 9.0, n, "no answer") for n in range(20)]
    shown = lanes([*workers, late, *silent])
    assert len(shown) == MOST_LANES
    assert shown[-MOST_SILENT:] == [f"portion {n}, copy 1" for n in range(MOST_SILENT)]
    assert shown[-MOST_SILENT - 1] == "099@here"


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ("auc", {"auc": 1.0, "accuracy": 1.0}, "auc"),
        (None, {"rmse": 1.0, "loss": 1.0}, "rmse"),
        ("auc", {"loss": 1.0}, "loss"),
    ],
)
def test_a_run_is_shown_by_the_figure_that_it_is_judged_by(
    wanted: str | None, there: dict[str, float], found: str
) -> None:
    history = SimpleNamespace(heldout=[SimpleNamespace(measures=there)], config={"metric": wanted})
    assert metric(cast("Any", history)) == found


def _all(tmp_path: Path) -> dict[str, Histories]:
    down, sand = journals.downpour(tmp_path / "down"), journals.sandblaster(tmp_path / "sand")
    bare = folder_of(tmp_path / "bare", environment(), start(), unit(1.0, 1.0), holdout=0.0)
    nothing = folder_of(tmp_path / "nothing")
    one = [[read(each)] for each in (down, sand, bare, nothing)]
    both = [read(each) for each in (down, sand, nothing)]
    return dict(zip(("down", "sand", "bare", "nothing", "both"), [*one, both], strict=True))


def test_every_figure_that_fits_can_be_drawn_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "DOTS", 30)
    names = {}
    for case, histories in _all(tmp_path).items():
        shown = [each for plot in writing.PLOTS for each in drawings(plot, histories)]
        names[case] = {each.plot.name for each in shown}
        for each in shown if case != "bare" else ():
            assert writing.draw(each, LIGHT, "png").startswith(b"\x89PNG")
            assert "nan" not in each.told()
    assert names["nothing"] == set()
    assert "portions" in names["sand"] & names["both"]
    assert "staleness" in names["down"] & names["both"]
    assert "metric-over-time" not in names["bare"]


def test_a_figure_is_the_same_bytes_each_time_and_others_in_the_dark(tmp_path: Path) -> None:
    histories = [read(journals.downpour(tmp_path / "run"))]
    plot = next(plot for plot in writing.PLOTS if plot.name == "throughput")
    (figure,) = drawings(plot, histories)
    first, again = (writing.draw(figure, LIGHT, "svg") for _ in range(2))
    assert first == again
    assert writing.draw(figure, DARK, "svg") != first


def test_a_figure_tells_its_values_at_their_places(tmp_path: Path) -> None:
    histories = [read(journals.downpour(tmp_path / "run"))]
    plot = next(plot for plot in writing.PLOTS if plot.name == "metric-over-time")

    def draw(figure: Figure, theme: Theme) -> None:
        plot.draw(figure, histories, theme)

    shown = drawing.picture(draw, drawing.HALF, 3.4, plot.title, "told", plot.caption)
    told = [hint.lines for hint in shown.hints]
    assert ("accuracy: 0.75", "training time (s): 6") in told
    assert any(lines[0].startswith("resumed: a coordinator went on") for lines in told)
    first, last = (h for h in shown.hints if h.lines[0].startswith("accuracy"))
    assert first.x < last.x
    assert first.y > last.y  # counted from above: the later one is better
    assert all(0 <= h.text_x <= shown.width and 0 < h.text_y < shown.height for h in shown.hints)


CURVES = {
    "roc": [
        {"class": "b", "auc": 0.75, "false_positive_rate": [0, 1], "true_positive_rate": [0, 1]}
    ],
    "calibration": [{"predicted": 0.25, "observed": 0.5, "examples": 4}],
    "pairs": {"true": [1.0, 2.0], "predicted": [1.5, 2.0]},
}


def test_curves_that_were_noted_are_drawn_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "DOTS", 30)
    folder = folder_of(tmp_path / "run")
    RunFolder(folder).keep_curves({"examples": 4, "of": 9, "of_class": "b", **CURVES})
    one = [read(folder)]
    told = {plot.name: plot.told(one) for plot in curves.PLOTS if plot.fits(one)}
    assert told == {
        "roc": "the area under the curve of b 0.75.",
        "calibration": "what matters most: where 25% were predicted it was so in 50% of 4 "
        "examples.",
        "predicted": "of 2 examples the one that is furthest off is 1 and was predicted as 1.5.",
    }
    for plot in curves.PLOTS:
        for histories in (one, one * 2):
            (figure,) = drawings(plot, histories)
            assert writing.draw(figure, LIGHT, "png").startswith(b"\x89PNG")
    RunFolder(folder).keep_curves({"examples": 4, "of": 9, "roc": [{"class": "b"}]})
    assert read(folder).curves is None
