"""The files of a comparison: a page that loads nothing, and numbers that machines can read."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError, ExitCode
from distbelief.coordinator.comparison import page
from distbelief.coordinator.comparison.figures import FIGURES
from distbelief.coordinator.comparison.folder import ComparisonFolder
from distbelief.coordinator.comparison.methods import methods_of
from distbelief.coordinator.comparison.outcome import End
from distbelief.coordinator.comparison.page import draw, write
from distbelief.coordinator.comparison.tables import lines, markdown, overview, tuning
from distbelief.coordinator.report import drawing
from distbelief.coordinator.report.plots.theme import LIGHT
from tests.unit.coordinator.comparison import made_up
from tests.unit.coordinator.comparison.made_up import HOLDS, grid, outcome, outcomes, summary
from tests.unit.coordinator.conftest import Run

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison in which a rate diverged and a seed crashed, on data of a hostile name."""
    folder, over = tmp_path_factory.mktemp("comparison"), grid()
    found = outcomes(over, HOLDS, {"downpour": made_up.RATES[:1]})
    crashed = over.finals(methods_of(["sandblaster"])[0], 2, None)[0]
    found[crashed.key] = replace(outcome(crashed, None, End.CRASHED), why=HOSTILE)
    compared = made_up.comparison(over, folder, data=HOSTILE)
    compared.outcomes.update(found)
    with pytest.MonkeyPatch.context() as patch:  # two figures are enough to see how they lie there
        patch.setattr(page, "FIGURES", FIGURES[-2:])
        write(compared, summary(over, found))
    return folder


def test_the_page_loads_nothing_and_hostile_words_are_text(written: Path) -> None:
    text = (written / "comparison.html").read_text("utf-8")
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert text.count("<img") == 2
    assert "&lt;script&gt;" in text


def test_the_page_says_the_outcome_first_and_what_crashed(written: Path) -> None:
    text = (written / "comparison.html").read_text("utf-8")
    paragraphs = re.findall(r"<p[^>]*>(.*?)</p>", text)
    assert paragraphs[0].startswith("To a held-out accuracy of 0.9, one process, SGD needed least")
    assert "holds here" in paragraphs[1]
    assert "robust" in paragraphs[2]
    assert "sandblaster, 2 replicas, seed 1 crashed:" in text
    assert "1 of 3, 1 crashed" in text
    assert "load average was 1.5 to 1.5" in text
    assert "at the edge of those that were tried" in text
    assert "for numpy 1: 0.1; downpour 2: 0.1; " in text


def test_what_diverged_is_told_in_the_table_of_rates(written: Path) -> None:
    over = grid()
    head, *rows = tuning(summary(over, outcomes(over, HOLDS, {"downpour": made_up.RATES[:1]})))
    assert head == ["method", "replicas", "rate 0.1", "rate 1", "chosen", "CPU s", "wall s"]
    assert rows[1] == ["downpour", "2", "0.4", "diverged", "0.1 (edge)", "20", "40"]


def test_every_point_is_a_line_of_the_csv_file(written: Path) -> None:
    with (written / "points.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["method"] for line in lines} == {method.name for method in grid().methods}
    last = next(line for line in lines if line["method"] == "numpy" and line["loss"] == "0.4")
    used = [float(last[name]) for name in ("workers_s", "servers_s", "coordinator_s")]
    assert sum(used) == pytest.approx(float(last["seconds"]) / 2)


def test_the_json_document_has_no_number_that_is_none(written: Path) -> None:
    text = (written / "outcome.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    rows = {each["method"]: each for each in found["methods"]}
    assert rows["downpour-adagrad"]["to_target"]["CPU_s"] == pytest.approx([1.1, 1.0, 1.2])
    assert rows["sandblaster"]["to_target"]["CPU_s"] == [None, 6.0, None]
    assert rows["sandblaster"]["crashed"] == 1
    assert len(found["sentences"]) == 3


def test_figures_are_drawn_where_nobody_reached_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawing, "DOTS", 30)
    over = grid(("downpour", "sandblaster"))
    nobody = outcomes(over, dict.fromkeys(HOLDS, (None, None, None)), {"downpour": ()})
    broken = {
        key: replace(each, points=each.points[:1], end=End.DIVERGED) for key, each in nobody.items()
    }
    for figure in FIGURES:
        assert draw(figure, summary(over, broken), LIGHT, "png").startswith(b"\x89PNG")


def test_a_comparison_of_crashes_is_a_page_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FIGURES", FIGURES[2:3])
    over = grid(("downpour", "sandblaster"))
    trials = list(over.trials({}))
    compared = made_up.comparison(over, tmp_path)
    compared.outcomes.update({each.key: outcome(each, None, End.CRASHED) for each in trials})
    write(compared, compared.summary(None, None))
    found = json.loads((tmp_path / "outcome.json").read_text())
    assert found["sentences"][0] == "No trial was made that can be judged."
    assert found["targets"]["value"] is None


def test_counts_that_a_system_does_not_tell_are_unknown_and_not_zero() -> None:
    over = grid(("numpy",))
    found = outcomes(over, {"numpy": (1.0, 2.0, 3.0)})
    for key, each in found.items():
        points = [replace(p, costs=replace(p.costs, workers_s=math.nan)) for p in each.points]
        found[key] = replace(each, points=tuple(points))
    table = overview(summary(over, found))
    assert table[1][5] == "unknown"
    assert len(lines(table, None)) == len(markdown(table)) - 1 == 2


def test_a_folder_keeps_what_was_made_and_refuses_another_comparison(tmp_path: Path) -> None:
    folder, over = ComparisonFolder(tmp_path / "c"), grid(("numpy",))
    folder.begin({"budget_s": 4.0, "settings": {"data": "digits"}})
    found = outcomes(over, HOLDS)
    for each in found.values():
        folder.keep(each)
    folder.begin({"budget_s": 4.0, "settings": {"data": "digits"}})
    assert folder.outcomes() == found
    with pytest.raises(ConfigError, match=r"budget_s = 4.0, and now it is 5.0: name another"):
        folder.begin({"budget_s": 5.0, "settings": {"data": "digits"}})


@pytest.mark.parametrize("text", ["{", '{"trial": {}}', "[]", '{"trial": 1, "points": [1]}'])
def test_a_damaged_trial_is_named(tmp_path: Path, text: str) -> None:
    folder = ComparisonFolder(tmp_path)
    folder.begin({})
    folder.file("odd").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(folder.file("odd")))):
        folder.outcomes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "hogwild"], "there is no method 'hogwild' here"),
        (["--replicas", "2,0"], "--replicas takes whole numbers above 0"),
        (["--replicas", "1.5"], "--replicas takes whole numbers above 0"),
        (["--rates", "fast"], "--rates takes numbers above 0"),
        (["--rates", "nan"], "--rates takes numbers above 0"),
        (["--setting", "learning_rate=1"], "learning_rate is not a setting of all trials: --rates"),
        (["--setting", "l1=0.1"], "method one-replica: l1 = 0.1 needs algorithm = sandblaster"),
        (["--setting", "round_steps=8"], "method downpour-warm: warm_start_steps = 200 is not for"),
        (["--setting", "speed=1"], "unknown setting 'speed'"),
        (["--holdout", "0"], "a comparison needs held-out examples"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_starts(
    run: Run, tmp_path: Path, words: list[str], said: str
) -> None:
    answer = run("compare", *words, "--folder", tmp_path / "none")
    assert answer.code == ExitCode.USAGE
    assert said in answer.err
    assert not (tmp_path / "none").exists()
