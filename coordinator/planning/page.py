"""The files of a plan: a page, its figures as PNG, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.coordinator.planning import tables
from distbelief.coordinator.planning.figures import figures
from distbelief.coordinator.planning.plan import FleetPlan
from distbelief.coordinator.report.drawing import WHOLE, Picture, picture, render
from distbelief.coordinator.report.pages import render_template
from distbelief.coordinator.report.plots.theme import LIGHT


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
    return render_template(
        "distbelief.coordinator.planning",
        "plan.html",
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


def _pictures(plan: FleetPlan) -> Iterator[Picture]:
    for each in figures(plan):
        yield picture(each.draw, WHOLE, each.height, each.title, each.told, each.caption)
