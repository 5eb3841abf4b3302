"""The files of a comparison: a page, its figures as PNG, and all numbers as CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.coordinator.comparison import tables
from distbelief.coordinator.comparison.comparison import Comparison
from distbelief.coordinator.comparison.figures import FIGURES, ComparisonFigure
from distbelief.coordinator.comparison.outcome import End
from distbelief.coordinator.comparison.summary import Summary
from distbelief.coordinator.comparison.words import sentences, target_text
from distbelief.coordinator.report.drawing import WHOLE, Draw, Picture, picture, render
from distbelief.coordinator.report.pages import render_template
from distbelief.coordinator.report.plots.theme import LIGHT, Theme
from distbelief.coordinator.report.secrets import without_secrets


@dataclass(frozen=True)
class Written:
    """The files of a comparison; the page first."""

    files: tuple[Path, ...]


def write(comparison: Comparison, summary: Summary) -> Written:
    """Write all files into the folder of the comparison.

    Raises:
        ConfigError: they cannot be written.
    """
    folder = comparison.folder.path
    shown = [each for each in FIGURES if each.fits(summary)]
    found = tables.document(comparison.facts, comparison.budget_s, summary)
    texts = {
        folder / "comparison.html": render_page(comparison, summary, _pictures(shown, summary)),
        folder / "outcome.json": json.dumps(found, indent=1, allow_nan=False),
        folder / "points.csv": tables.csv_text(summary),
        folder / "tables.md": "\n".join(_markdown(summary)) + "\n",
    }
    figures = {folder / f"{each.name}.png": draw(each, summary, LIGHT, "png") for each in shown}
    try:
        for file, text in texts.items():
            with replacing(file) as partial:
                partial.write_text(text, "utf-8")
        for file, picture in figures.items():
            with replacing(file) as partial:
                partial.write_bytes(picture)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    return Written((*texts, *figures))


def draw(figure: ComparisonFigure, summary: Summary, theme: Theme, form: str) -> bytes:
    """Draw a figure as a file of that form: svg or png."""
    return render(_into(figure, summary), WHOLE, figure.height(summary), theme, form)


def _pictures(shown: Sequence[ComparisonFigure], summary: Summary) -> Iterator[Picture]:
    for each in shown:
        size, told = (WHOLE, each.height(summary)), each.told(summary)
        yield picture(_into(each, summary), *size, each.title, told, each.caption)


def _into(figure: ComparisonFigure, summary: Summary) -> Draw:
    return lambda empty, theme: figure.draw(summary, empty, theme)


def render_page(comparison: Comparison, summary: Summary, pictures: Iterator[Picture]) -> str:
    """Render the page: one HTML text with all that it shows inside."""
    return render_template(
        "distbelief.coordinator.comparison",
        "comparison.html",
        facts=comparison.facts,
        settings=without_secrets(dict(comparison.settings)),
        budget_s=comparison.budget_s,
        command=without_secrets(comparison.command),
        targets=summary.targets,
        target=target_text(summary),
        sentences=sentences(summary),
        pictures=list(pictures),
        tables=page_tables(summary),
        notes=list(notes(summary)),
    )


def page_tables(summary: Summary) -> list[tuple[str, list[list[str]]]]:
    """Tables with what is said of each."""
    found = [
        (f"To {target_text(summary)}", tables.whole(summary, lambda row: row.to_value)),
        (
            f"To a training loss of {summary.targets.loss:g}",
            tables.whole(summary, lambda row: row.to_loss),
        ),
    ]
    tuned = tables.tuning(summary)
    if len(tuned) > 1:
        found.append(("Rates: the lowest training loss of each, and what tuning cost", tuned))
    return found


def notes(summary: Summary) -> Iterator[str]:
    """What a reader should know of how the numbers came about."""
    outcomes = [each for row in summary.rows for each in (*row.tuning, *row.outcomes)]
    loads = [each.load for each in outcomes if math.isfinite(each.load)]
    if loads:
        yield (
            f"When trials began the machine's load average was {min(loads):.1f} to "
            f"{max(loads):.1f}: where it is above what a trial needs itself, seconds of the clock "
            "are too many, and those of processors a little."
        )
    edges = [
        f"{row.method.name} {row.replicas}: {row.rate:g}" for row in summary.rows if row.on_edge
    ]
    if edges:
        yield (
            "The best rate is at the edge of those that were tried, and one beyond may be better "
            f"(--rates), for {'; '.join(edges)}."
        )
    for each in outcomes:
        if each.end is End.CRASHED:
            yield f"{each.trial} crashed: {each.why}"


def _markdown(summary: Summary) -> Iterator[str]:
    """Everything that a document may want to quote."""
    yield from sentences(summary)
    yield from ("", *tables.markdown(tables.overview(summary)))
    for caption, table in page_tables(summary):
        yield from ("", f"{caption}:", "", *tables.markdown(table))
