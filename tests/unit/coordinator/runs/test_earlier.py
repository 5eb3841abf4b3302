"""A run is put beside those of the same data that were before it in the folder."""

from __future__ import annotations

from pathlib import Path

from distbelief.app.models.metric import Metric
from distbelief.coordinator.runs.earlier import Judged, comparison, judged
from tests.unit.coordinator.report.journals import folder_of


def made(folder: Path, run: str, metric: str, value: float, data: str = "mine.csv") -> None:
    heldout = {"metric": metric, metric: value}
    folder_of(folder / run, outcome={"state": "finished", "heldout": heldout}, data=data)


def test_the_run_before_and_the_best_one_are_named(tmp_path: Path) -> None:
    made(tmp_path, "1", "rmse", 2.0)
    made(tmp_path, "2", "rmse", 3.0)
    made(tmp_path, "2a", "accuracy", 0.5)
    made(tmp_path, "2b", "rmse", 1.0, data="other.csv")
    made(tmp_path, "4", "rmse", 0.1)  # it is later
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.json").write_text("{")
    told = comparison(tmp_path, Judged("3", Metric.RMSE, 2.5), "mine.csv")
    assert told == (
        "better than the run before, 2: rmse 3.0000; the best of 2 before, 1: rmse 2.0000; "
        f"beside it: distbelief report 2 3 --folder {tmp_path}"
    )
    worse = comparison(tmp_path, Judged("3", Metric.RMSE, 4.0), "mine.csv")
    assert worse.startswith("worse than the run before")


def test_nothing_is_said_of_a_first_run_or_of_one_without_a_score(tmp_path: Path) -> None:
    assert comparison(tmp_path, Judged("3", Metric.RMSE, 2.5), "mine.csv") == ""
    assert judged("3", {"state": "failed"}) is None
    assert judged("3", {"heldout": {"metric": "auc", "auc": None}}) is None
