"""Drawing a report's figures, and writing its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice, zip_longest
from pathlib import Path

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.coordinator.progress.program import program
from distbelief.coordinator.report import tables
from distbelief.coordinator.report.comparison import by_score, compare
from distbelief.coordinator.report.drawing import HALF, WHOLE, Picture, picture, render
from distbelief.coordinator.report.pages import render_template
from distbelief.coordinator.report.plots import (
    curves,
    downpour,
    learning,
    portions,
    quality,
    sandblaster,
    throughput,
)
from distbelief.coordinator.report.plots.learning import metric
from distbelief.coordinator.report.plots.plot import Drawing, Histories, Plot, drawings
from distbelief.coordinator.report.plots.theme import LIGHT, MOST_COLOURS, Theme

#: In the order of the page: those that are half as wide stand in pairs.
PLOTS: tuple[Plot, ...] = (
    *learning.PLOTS,
    *quality.PLOTS,
    *curves.PLOTS,
    *downpour.PLOTS,
    *sandblaster.PLOTS,
    portions.EVALUATIONS,
    *throughput.PLOTS,
    portions.TIMELINE,
)


#: Runs whose ids make up the name of a page.
MOST_NAMED = 3


@dataclass(frozen=True)
class Written:
    """The files of a report."""

    page: Path
    figures: tuple[Path, ...]


def default_output(folder: Path, runs: Sequence[str]) -> Path:
    """The page in the folder of the run, or beside the folders of several."""
    if len(runs) == 1:
        return folder / runs[0] / "report.html"
    named = "-".join(runs) if len(runs) <= MOST_NAMED else f"of-{len(runs)}-runs"
    return folder / f"report-{named}.html"


def write(histories: Histories, output: Path, *, beside: bool = True) -> Written:
    """Write the page to ``output``, and ``beside`` it the figures as PNG in a folder of its name.

    Raises:
        ConfigError: the files cannot be written.
    """
    drawn = _drawn(histories)
    shown = [drawing for plot in PLOTS for drawing in drawings(plot, drawn)]
    folder = output.with_suffix("")
    try:
        figures = []
        for each in shown if beside else ():
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{each.name}.png"
            with replacing(file) as partial:
                partial.write_bytes(draw(each, LIGHT, "png"))
            figures.append(file)
        text = render_page(histories, [_picture(each) for each in shown])
        with replacing(output) as partial:
            partial.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the report {output}: {error.strerror}") from error
    return Written(output, tuple(figures))


def _drawn(histories: Histories) -> Histories:
    """The runs that are drawn: of more than can be told apart those with the best scores."""
    if len(histories) <= MOST_COLOURS:
        return histories
    of_metrics = (list(same) for _, same in groupby(by_score(histories), metric))
    turns = chain.from_iterable(zip_longest(*of_metrics))  # the best of each metric come first
    best = {history.run for history in islice(filter(None, turns), MOST_COLOURS)}
    return [history for history in histories if history.run in best]


def draw(drawing: Drawing, theme: Theme, form: str) -> bytes:
    """Draw a figure as a file of that form: svg or png."""
    return render(drawing.draw, *_size(drawing), theme, form)


def _picture(drawing: Drawing) -> Picture:
    plot, told = drawing.plot, drawing.told()
    return picture(drawing.draw, *_size(drawing), drawing.title, told, plot.caption)


def _size(drawing: Drawing) -> tuple[float, float]:
    return WHOLE if drawing.plot.wide else HALF, drawing.plot.height(drawing.every)


def render_page(histories: Histories, pictures: Sequence[Picture]) -> str:
    """Render the report: one HTML text with all that it shows inside."""
    settings = tables.settings(histories)
    return render_template(
        "distbelief.coordinator.report",
        "report.html",
        program=program(),
        runs=histories,
        pictures=pictures,
        drawn=len(_drawn(histories)),
        compared=compare(histories) if len(histories) > 1 else None,
        summary=tables.summary(histories),
        changed=[row for row in settings if row.changed],
        unchanged=[row for row in settings if not row.changed],
        environment=tables.environment(histories),
        events=[(run, *tables.events(run)) for run in histories],
        notes=[(run, note) for run in histories for note in run.notes],
    )
