"""A report is one file that loads nothing, and nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from distbelief.app.errors import ExitCode
from distbelief.coordinator.report import tables, writing
from distbelief.coordinator.report.comparison import compare
from distbelief.coordinator.report.pages import with_flags
from distbelief.coordinator.report.plots import learning, quality
from distbelief.coordinator.report.plots.plot import Drawing, drawings
from distbelief.coordinator.report.plots.theme import LIGHT
from distbelief.coordinator.report.reading import read
from tests.unit.coordinator.conftest import Run
from tests.unit.coordinator.report import journals
from tests.unit.coordinator.report.journals import at, environment, folder_of, start, unit

HOSTILE = '"><script>alert(1)</script>&amp;$x^{y'


class Markup(HTMLParser):
    """Tags, what they refer to, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.alts: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.references += [
            found[name] or "" for name in ("src", "srcset", "href") if name in found
        ]
        if tag == "img":
            self.alts.append(found.get("alt") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two figures are enough to see how pages hold them."""
    names = ("loss-over-time", "workers")
    monkeypatch.setattr(writing, "PLOTS", [p for p in writing.PLOTS if p.name in names])


def test_a_page_loads_nothing_and_its_figures_have_words(tmp_path: Path, few: None) -> None:
    written = writing.write([read(journals.downpour(tmp_path / "run"))], tmp_path / "page.html")
    text = written.page.read_text("utf-8")
    page = Markup(text)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(each.startswith(("data:image/svg+xml;base64,", "#")) for each in page.references)
    assert page.tags.count("img") == page.tags.count("source") == 2
    assert "the training loss goes from 0.5 to 0.5 in 6 s." in page.alts[0]
    assert [each.name for each in written.figures] == ["loss-over-time.png", "workers.png"]


def test_hostile_names_settings_and_errors_are_text(tmp_path: Path, few: None) -> None:
    folder = folder_of(
        tmp_path / "run",
        environment(host=HOSTILE),
        start(),
        unit(1.0, 1.0, worker=HOSTILE),
        at(2.0, "lost", what=HOSTILE),
        outcome={"state": "failed", "error": HOSTILE},
        data=HOSTILE,
    )
    folder.rename(hostile := tmp_path / "<script>a&b")
    written = writing.write([read(hostile)], tmp_path / "page.html")
    page = Markup(written.page.read_text("utf-8"))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 5
    assert "Run <script>a&b" in page.text


def test_settings_that_are_not_the_default_come_first(tmp_path: Path, few: None) -> None:
    histories = [
        read(journals.downpour(tmp_path / "a", learning_rate=0.25)),
        read(journals.sandblaster(tmp_path / "b")),
    ]
    text = Markup(writing.render_page(histories, [])).text
    changed = re.split(r"All others: \d+ settings", text.partition("Settings that are not")[2])[0]
    assert "learning_rate0.25nonenone" in changed
    assert "algorithmdownpoursandblasterdownpour" in changed
    assert "passes" not in changed


def test_versions_engines_and_events_are_in_the_tables(tmp_path: Path) -> None:
    text = Markup(writing.render_page([read(journals.downpour(tmp_path / "run"))], [])).text
    assert "Valkey 9.0.0 at ps:6379, lua engine (no module)" in text
    assert "unit downpour-1-10 sent again: attempt 2 on 2@here did not finish it" in text
    assert "resumed: a coordinator went on with the run, fence 3" in text
    assert "6.0 s of training; 7.0 s with what was made again after a kill" in text


def test_the_command_writes_into_the_folder_of_the_run_and_says_where(
    run: Run, tmp_path: Path, few: None
) -> None:
    journals.sandblaster(tmp_path / "r1")
    answer = run("report", "r1", "--folder", tmp_path)
    assert answer.code == ExitCode.OK, answer.err
    assert answer.out.splitlines() == [
        f"report: {tmp_path / 'r1' / 'report.html'}",
        f"figures: {tmp_path / 'r1' / 'report'} (2 PNG files)",
    ]
    assert (tmp_path / "r1" / "report" / "workers.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_compares_runs_and_tells_machines(run: Run, tmp_path: Path, few: None) -> None:
    journals.sandblaster(tmp_path / "r1")
    journals.downpour(tmp_path / "r2")
    answer = run("report", "r1", "r2", "r1", "--folder", tmp_path, "--json")
    document = json.loads(answer.out)
    assert document["runs"] == ["r1", "r2"]
    assert document["page"] == str(tmp_path / "report-r1-r2.html")
    assert Path(document["page"]).read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_run_that_is_not_there_is_an_error_of_use(run: Run, tmp_path: Path) -> None:
    answer = run("report", "nobody", "--folder", tmp_path)
    assert answer.code == ExitCode.USAGE
    assert "error: there is no run nobody" in answer.err


def test_of_more_runs_than_colours_all_are_in_the_table_and_the_best_are_drawn(
    run: Run, tmp_path: Path, few: None
) -> None:
    for number in range(7):
        outcome = {"state": "finished", "heldout": {"metric": "accuracy", "accuracy": number / 8}}
        events = (environment(), start(0.1, 0.1), unit(2.0, 2.0), journals.evaluation(2.5, 2.0))
        folder_of(tmp_path / f"r{number}", *events, outcome=outcome, passes=7 - number)
    answer = run("report", *(f"r{number}" for number in range(7)), "--folder", tmp_path)
    assert answer.code == ExitCode.OK
    page = Markup((tmp_path / "report-of-7-runs.html").read_text("utf-8"))
    table = page.text.partition("The best one first")[2].partition("Summary")[0]
    assert re.findall(r"r\d", table) == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]
    assert re.search(r"r6\s*accuracy 0\.7500", table)
    assert re.search(r"passes\s", table)
    assert "The 6 runs with the best scores." in page.text
    assert all("Run r1" in alt and "Run r0" not in alt for alt in page.alts)


def test_the_model_that_was_saved_is_marked_and_later_ones_that_were_no_better(
    tmp_path: Path,
) -> None:
    scored = [journals.evaluation(2.0 + number, number, number=number) for number in range(1, 7)]
    outcome = {"state": "finished", "kept": {"evaluation": 1, "passes": 1.0}}
    history = read(
        folder_of(tmp_path / "run", environment(), start(0.1, 0.1), *scored, outcome=outcome)
    )
    assert history.kept is history.heldout[0]
    told = {row.name: row.texts[0] for row in tables.summary([history])}
    assert told["saved model"] == "evaluation 1 of 6, after 1 of 6 passes"
    assert told["to try next"] == "no better after 1 passes, of 6: --patience 5 ends that"


def test_a_run_without_a_finite_loss_or_a_score_has_no_empty_figures_and_says_so(
    tmp_path: Path,
) -> None:
    lost = unit(1.0, 1.0, loss_sum=None)
    folder = folder_of(tmp_path / "run", environment(), start(0.1, 0.1), lost, outcome={})
    history = read(folder)
    assert not any(plot.fits([history]) for plot in learning.PLOTS)
    saved = replace(history, model_file=Path("model.safetensors"))
    told = {row.name: row.texts[0] for row in tables.summary([saved])}
    assert told["held-out"] == "the saved model was not scored: it has the last parameters"


def test_a_report_of_classes_shows_what_is_taken_for_what(tmp_path: Path) -> None:
    confusion = [[8, 1, 0], [2, 9, 0]]
    outcome = {"heldout": {"accuracy": 0.85, "classes": ["cat", "dog"], "confusion": confusion}}
    history = read(folder_of(tmp_path / "run", outcome=outcome))
    (plot,) = quality.PLOTS
    assert plot.fits([history])
    assert plot.told([history]) == (
        "17 of 20 examples are right; most often, 2 of dog are taken for cat."
    )
    assert writing.draw(Drawing(plot, "", [history], [history]), LIGHT, "png").startswith(
        b"\x89PNG"
    )


@pytest.mark.parametrize("odd", [None, [], [[1]], [["x", 1, 0], [1, 1, 0]], [[1, 2], 3]])
def test_an_odd_confusion_is_not_drawn(odd: object, tmp_path: Path) -> None:
    outcome = {"heldout": {"classes": ["cat", "dog"], "confusion": odd}}
    history = read(folder_of(tmp_path / "run", outcome=outcome))
    assert not quality.PLOTS[0].fits([history])


def test_a_run_without_a_journal_has_a_page_that_says_so(run: Run, tmp_path: Path) -> None:
    folder_of(tmp_path / "old")
    answer = run("report", "old", "--folder", tmp_path)
    assert answer.code == ExitCode.OK
    assert "There is no journal" in answer.err
    assert "There is no journal" in (tmp_path / "old" / "report.html").read_text("utf-8")


def test_a_running_run_is_said_to_go_on_and_its_flags_break_nowhere(
    tmp_path: Path, few: None
) -> None:
    folder = folder_of(tmp_path / "run", environment(), start(), unit(1.0, 1.0), outcome={})
    (history,) = histories = [read(folder, running=True)]
    assert history.notes == []
    facts = {row.name: row.texts[0] for row in tables.summary(histories)}
    assert facts["ended"] == "not yet"
    assert "to go on" not in facts
    dead = {row.name: row.texts[0] for row in tables.summary([read(folder)])}
    assert dead["to go on"].endswith(f"--folder {tmp_path}, if its coordinator was killed")
    assert with_flags("<b> --max-seconds 5") == "&lt;b&gt; <code>--max-seconds</code> 5"


DIVERGED = {"state": "failed", "exit_code": ExitCode.DIVERGED, "error": "the training diverged"}


def test_a_run_that_diverged_says_so_comes_last_and_has_no_score(tmp_path: Path) -> None:
    scored = journals.evaluation(1.5, 1.0, rmse=4.0, loss=16.0)
    broken = journals.evaluation(2.5, 2.0, number=2, rmse=0.0, loss=None)
    events = (environment(), start(0.1, 0.1), unit(1.0, 1.0), scored, broken)
    gone = read(folder_of(tmp_path / "a", *events, outcome=DIVERGED, learning_rate=5.0))
    fine = read(folder_of(tmp_path / "b", *events[:4]))
    facts = {row.name: row.texts[0] for row in tables.summary([gone])}
    assert facts["held-out"].startswith("none: the training diverged; after 1 passes it had rmse")
    assert facts["ended"] == "failed: the training diverged"
    assert facts["to try next"] == "--learning-rate 0.5, a tenth of this one's"
    assert "to go on" not in facts
    compared = compare([gone, fine])
    assert [row[0] for row in compared.rows] == ["b", "a"]
    assert compared.rows[1][compared.columns.index("ended")] == "diverged"
    assert compared.rows[1][compared.columns.index("held-out")] == ""
    assert "goes from 0.5 to 0.5 in 1 evaluations" in learning.PLOTS[2].told([gone])


def test_what_cannot_be_compared_has_figures_of_its_own_in_the_colour_of_the_run(
    tmp_path: Path,
) -> None:
    numbers = journals.evaluation(2.5, 2.0, rmse=4.0, accuracy=None)
    begun = (environment(), start(0.1, 0.1), unit(2.0, 2.0))
    histories = [
        read(folder_of(tmp_path / "a", *begun, numbers, metric="rmse", model="linear")),
        read(folder_of(tmp_path / "b", *begun, journals.evaluation(2.5, 2.0))),
    ]
    loss, _, score, _ = learning.PLOTS
    assert [each.title for each in drawings(loss, histories)] == [
        "Loss over time: classes",
        "Loss over time: regression",
    ]
    accuracy, rmse = drawings(score, histories)
    assert (accuracy.name, rmse.name) == ("metric-over-time-accuracy", "metric-over-time-RMSE")
    assert "accuracy" in accuracy.told()
    assert "RMSE" in rmse.told()
    figure = Figure()
    accuracy.draw(figure, LIGHT)
    shown = [line for line in figure.axes[0].get_lines() if len(line.get_xdata())]  # type: ignore[arg-type]
    assert [line.get_color() for line in shown] == [LIGHT.series[1]]
    assert [each.title for each in drawings(score, histories[1:])] == ["Held-out score over time"]


def test_of_a_run_that_was_stopped_long_after_its_best_that_is_said(tmp_path: Path) -> None:
    scores = [journals.evaluation(float(n), float(n), number=n) for n in range(1, 7)]
    kept = {"state": "stopped", "kept": {"evaluation": 1}}
    folder = folder_of(tmp_path / "run", environment(), start(), *scores, outcome=kept)
    told = {row.name: row.texts[0] for row in tables.summary([read(folder)])}
    assert told["to try next"] == "no better after 1 passes, of 6: --patience 5 ends that"
