"""The files of a plan: a page, its figures as PNG, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.coordinator.planning import tables
from distbelief.coordinator.planning.figures import PlanFigure, figures
from distbelief.coordinator.planning.plan import FleetPlan
from distbelief.coordinator.report.drawing import WHOLE, render, uri
from distbelief.coordinator.report.plots.theme import DARK, LIGHT


@dataclass(frozen=True)
class PlanPicture:
    """A figure as the page shows it: SVG as data URIs."""

    figure: PlanFigure
    light: str
    dark: str


def write(plan: FleetPlan, output: Path, command: str) -> list[Path]:
    """Write the page to ``output``, the JSON beside it, and figures into a folder of its name.

    Raises:
        ConfigError: they cannot be written.
    """
    folder, beside = output.with_suffix(""), output.with_suffix(".json")
    files: dict[Path, bytes] = {
        beside: json.dumps(plan.to_json(), indent=1, allow_nan=False).encode(),
        output: render_page(plan, command, beside.name).encode(),
    }
    for each in figures(plan):
        files[folder / f"{each.name}.png"] = render(each.draw, WHOLE, each.height, LIGHT, "png")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            with replacing(file) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"cannot write the plan {output}: {error.strerror}") from error
    return list(files)


def render_page(plan: FleetPlan, command: str, json_name: str) -> str:
    """Render the page: one HTML text with all that it shows inside."""
    packages = ("distbelief.coordinator.planning", "distbelief.coordinator.report")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates") for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("plan.html").render(
        work=plan.calibration.work,
        seed=plan.seed,
        sentences=plan.sentences(),
        notes=plan.notes(),
        pictures=list(_pictures(plan)),
        tables=tables.shown(plan),
        whole=tables.whole(plan),
        command=command,
        json_name=json_name,
    )


def _pictures(plan: FleetPlan) -> Iterator[PlanPicture]:
    for each in figures(plan):
        light, dark = (
            uri(render(each.draw, WHOLE, each.height, theme, "svg")) for theme in (LIGHT, DARK)
        )
        yield PlanPicture(each, light, dark)
