"""A result in the hands of a program and of a notebook."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference.trained_model import TrainedModel
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.result import Result, Timings
from tests.unit.coordinator.report.journals import at, environment, evaluation, start, unit

EVENTS = (environment(), start(0.1, 0.1), unit(2.0, 2.0), evaluation(2.5, 2.0))
END = at(3.0, "end", state="finished", kept={"evaluation": 1, "passes": 2.0})


@pytest.fixture
def result() -> Result:
    facts = {"config": {"algorithm": "downpour"}}
    saved = SavedModel(ModelSettings(model="linear"), Schema(2), np.zeros(3, np.float32), {}, facts)
    return Result(
        run="20261122-180858-050a",
        reason=EndReason.PASSES,
        model=TrainedModel(saved),
        heldout={"rmse": 0.5, "loss": 0.125},
        test=None,
        evaluations=(),
        history=(*EVENTS, END),
        details=(),
        timings=Timings(0.0, 1.0, 2.0, 0.5),
        model_file=Path("runs/<b>/model.safetensors"),
        checkpoint=None,
    )


def test_a_notebook_shows_a_table_and_the_course(result: Result) -> None:
    shown = result._repr_html_()
    left = '<td style="text-align: left">'
    assert f"<th>held-out</th>{left}rmse 0.5000, loss 0.1250</td>" in shown
    assert f"<th>seconds</th>{left}3.5</td>" in shown
    assert "runs/&lt;b&gt;/model.safetensors" in shown
    assert '<img alt="course of the training" src="data:image/png;base64,' in shown


def test_the_course_is_a_figure_with_a_ring_around_the_model_that_was_saved(
    result: Result,
) -> None:
    loss, score = result.plot().axes
    for axes in (loss, score):
        ring = axes.get_lines()[-1]
        assert ring.get_markerfacecolor() == "none"
        assert np.asarray(ring.get_xdata()).tolist() == [2.5]
    assert result.plot()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_training_of_which_nothing_is_known_is_drawn_all_the_same(result: Result) -> None:
    assert replace(result, history=()).plot().axes == []


def test_without_matplotlib_the_table_is_shown_and_drawing_says_what_to_install(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"drawing needs the package matplotlib: pip install"):
        result.plot()
