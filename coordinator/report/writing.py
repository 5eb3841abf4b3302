"""Drawing a report's figures, and writing its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.coordinator.progress.program import program
from distbelief.coordinator.report import tables
from distbelief.coordinator.report.drawing import HALF, WHOLE, render, uri
from distbelief.coordinator.report.plots import (
    downpour,
    learning,
    portions,
    sandblaster,
    throughput,
)
from distbelief.coordinator.report.plots.plot import Histories, Plot
from distbelief.coordinator.report.plots.theme import DARK, LIGHT, MOST_COLOURS, Theme

#: In the order of the page: those that are half as wide stand in pairs.
PLOTS: tuple[Plot, ...] = (
    *learning.PLOTS,
    *downpour.PLOTS,
    *sandblaster.PLOTS,
    portions.EVALUATIONS,
    *throughput.PLOTS,
    portions.TIMELINE,
)


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: SVG as data URIs."""

    plot: Plot
    alt: str
    light: str
    dark: str


@dataclass(frozen=True)
class Written:
    """The files of a report."""

    page: Path
    figures: tuple[Path, ...]


def default_output(folder: Path, runs: Sequence[str]) -> Path:
    """The page in the folder of the run, or beside the folders of several."""
    if len(runs) == 1:
        return folder / runs[0] / "report.html"
    return folder / f"report-{'-'.join(runs)}.html"


def write(histories: Histories, output: Path) -> Written:
    """Write the page to ``output``, and the figures as PNG into a folder of its name.

    Raises:
        ConfigError: too many runs for one figure, or the files cannot be written.
    """
    if len(histories) > MOST_COLOURS:
        raise ConfigError(
            f"{len(histories)} runs are too many for one report: compare at most {MOST_COLOURS}"
        )
    shown = [plot for plot in PLOTS if plot.fits(histories)]
    folder = output.with_suffix("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = []
        for plot in shown:
            file = folder / f"{plot.name}.png"
            with replacing(file) as partial:
                partial.write_bytes(draw(plot, histories, LIGHT, "png"))
            figures.append(file)
        text = render_page(histories, [_picture(plot, histories) for plot in shown])
        with replacing(output) as partial:
            partial.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the report {output}: {error.strerror}") from error
    return Written(output, tuple(figures))


def draw(plot: Plot, histories: Histories, theme: Theme, form: str) -> bytes:
    """Draw a figure of the runs as a file of that form: svg or png."""

    def into(figure: Figure, theme: Theme) -> None:
        plot.draw(figure, histories, theme)

    return render(into, WHOLE if plot.wide else HALF, plot.height(histories), theme, form)


def _picture(plot: Plot, histories: Histories) -> Picture:
    light, dark = (uri(draw(plot, histories, theme, "svg")) for theme in (LIGHT, DARK))
    return Picture(plot, f"{plot.title}: {plot.told(histories)}", light, dark)


def render_page(histories: Histories, pictures: Sequence[Picture]) -> str:
    """Render the report: one HTML text with all that it shows inside."""
    environment = Environment(
        loader=PackageLoader("distbelief.coordinator.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    settings = tables.settings(histories)
    return environment.get_template("report.html").render(
        program=program(),
        runs=histories,
        pictures=pictures,
        summary=tables.summary(histories),
        changed=[row for row in settings if row.changed],
        unchanged=[row for row in settings if not row.changed],
        environment=tables.environment(histories),
        events=[(run, *tables.events(run)) for run in histories],
        notes=[(run, note) for run in histories for note in run.notes],
    )
