"""The command that writes a report."""

from __future__ import annotations

import json
from pathlib import Path

import click

from distbelief.app.settings.extras import needed
from distbelief.coordinator.commands.options import SectionedCommand
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.commands.run_flags import run_names
from distbelief.coordinator.progress.program import FOLDER
from distbelief.coordinator.runs.ids import check_id


@click.command(
    cls=SectionedCommand,
    examples=(
        "report 20261122-180858-050a",
        "report 20261122-180858-050a 20261122-181530-77c1 --output both.html",
    ),
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=run_names)
@click.option(
    "--folder", default=FOLDER, metavar="TEXT", help=f"Folder of the runs. [default: {FOLDER}]"
)
@click.option("--output", metavar="FILE", help="Page to write. [default: FOLDER/RUN/report.html]")
@click.option(
    "--figures/--no-figures",
    default=True,
    help="Write the figures beside the page, too, as PNG. [default: yes]",
)
@click.option("--running", is_flag=True, hidden=True, help="Its coordinator says that it goes on.")
@as_json
def report(
    runs: tuple[str, ...],
    folder: str,
    output: str | None,
    figures: bool,
    running: bool,
    as_json: bool,
) -> None:
    """Write a page with figures of a run, or of several runs in the same axes.

    The page is one file that needs no network; the figures lie beside it as PNG, in a folder
    of its name. All comes from the run's folder, so a run may still be going on, and no
    server is asked.
    """
    for module in ("matplotlib", "jinja2"):
        needed(module, f"a report needs the package {module}", "report")
    # Drawing takes half a second to import: no other command is to wait for it.
    from distbelief.coordinator.report import reading, writing

    names = list(dict.fromkeys(runs))
    for name in names:
        check_id(name)
    histories = [reading.read(Path(folder) / name, running=running) for name in names]
    page = Path(output) if output else writing.default_output(Path(folder), names)
    written = writing.write(histories, page, beside=figures)
    if as_json:
        files = [str(file) for file in written.figures]
        notes = {each.run: list(each.notes) for each in histories}
        document = {"runs": names, "page": str(written.page), "figures": files, "notes": notes}
        click.echo(json.dumps(document, indent=2))
        return
    for history in histories:
        for note in history.notes:
            click.echo(f"{history.run}: {note}", err=True)
    click.echo(f"report: {written.page}")
    if written.figures:
        click.echo(f"figures: {written.figures[0].parent} ({len(written.figures)} PNG files)")
