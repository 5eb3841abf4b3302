"""The command that says what a fleet would do for a training, and what it would cost."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distbelief.app.settings.cluster import MonitoringSettings
from distbelief.app.settings.config import SECTIONS, configure
from distbelief.app.settings.extras import needed
from distbelief.coordinator.commands.options import SectionedCommand, settings_options
from distbelief.coordinator.commands.output import as_json, print_lines, print_table
from distbelief.coordinator.commands.train import CODES, collect_settings, config_option

if TYPE_CHECKING:  # help begins sooner without them
    from distbelief.coordinator.planning.assumptions import Assumptions
    from distbelief.coordinator.planning.calibration import Calibration
    from distbelief.coordinator.planning.plan import FleetPlan

#: Bytes a second in a megabit a second.
MEGABIT = 1e6 / 8

above_nothing = click.FloatRange(min=0, min_open=True)
price = click.FloatRange(min=0)


def amount(
    flag: str, text: str, kind: click.ParamType[Any] = above_nothing, **words: Any
) -> Callable[[Any], Any]:
    """An option that takes a number of a kind."""
    metavar = "INTEGER" if isinstance(kind, click.IntRange) else "NUMBER"
    return click.option(flag, type=kind, metavar=metavar, help=text, **words)


#: Nobody watches a plan.
PLANNED = tuple(section for section in SECTIONS if section is not MonitoringSettings)


@click.command(
    cls=SectionedCommand,
    examples=(
        "plan",
        "plan --data mine.csv --model softmax --throughput 1e6 \\\n"
        "      --worker-price 0.4 --server-price 0.1 --link 1000",
        "plan --broker redis://host:6379/0 \\\n"
        "      --parameter-servers redis://ps1:6379,redis://ps2:6379",
        "plan --calibration plan.json --link 100 --stragglers 0.05:4",
    ),
    codes=CODES,
)
@config_option
@amount(
    "--seconds",
    "Seconds to calibrate, in all. [default: 30]",
    click.FloatRange(min=4, max=3600),
    default=30.0,
)
@click.option(
    "--calibration",
    metavar="FILE",
    help="Measure nothing: take the calibration in the JSON of an earlier plan.",
)
@click.option(
    "--page", metavar="FILE", default="plan.html", help="Page to write. [default: plan.html]"
)
@amount("--throughput", "Examples a second that you want.")
@amount("--worker-price", "A worker machine's, an hour.", price)
@amount("--server-price", "A server machine's, an hour.", price)
@amount(
    "--machine-processes",
    "Worker processes, and cores, of a worker machine. [default: cores of those measured]",
    click.IntRange(min=1),
)
@amount("--link", "Megabits a second of a worker machine's link. [default: measured, or 1000]")
@amount("--server-link", "Megabits a second of a server's link. [default: as a worker machine's]")
@click.option(
    "--stragglers",
    default="0:1",
    metavar="SHARE:FACTOR",
    help="Share of the processes that are slow, and how many times. [default: those measured]",
)
@amount("--lives-hours", "Hours after which a process dies, on average. [default: never]")
@amount(
    "--most-replicas",
    "Look at fleets of up to so many replicas. [default: 10000]",
    click.IntRange(1, 10_000),
    default=10_000,
)
@amount(
    "--most-servers",
    "... and of up to so many servers. [default: 1000]",
    click.IntRange(1, 1_000),
    default=1_000,
)
@as_json
@settings_options(*PLANNED)
def plan(
    config_file: str | None,
    calibration: str | None,
    seconds: float,
    page: str,
    as_json: bool,
    **words: Any,
) -> None:
    """Say how many workers and servers a training needs, and what it will cost.

    Costs are measured for half a minute: on the servers and workers that --broker and
    --parameter-servers name, or else on this machine. Fleets of 1 to 10,000 replicas and 1 to
    1,000 servers are then simulated, with Downpour and with Sandblaster (or one of them, with
    --algorithm), and it is said which resource each waits for, which fleet is the cheapest for a
    wanted throughput, and when one process is better. The page has figures and all fleets; the
    JSON beside it has all numbers, and the calibration for another plan.
    """
    for module in ("matplotlib", "jinja2"):
        needed(module, f"the page of a plan needs the package {module}", "report")
    from distbelief.coordinator.planning import page as pages
    from distbelief.coordinator.planning.calibration import read_calibration
    from distbelief.coordinator.planning.plan import make_plan
    from distbelief.coordinator.progress.program import command

    flags = {name: words.pop(name) for section in PLANNED for name in section.model_fields}
    assumptions = _assumptions(words)
    settings = collect_settings(config_file, flags)
    config, _ = configure(settings)
    known = (
        read_calibration(Path(calibration))
        if calibration is not None
        else _calibrate(settings, seconds)
    )
    made = make_plan(known, assumptions, config.seed, _say)
    written = pages.write(made, Path(page), command(*sys.argv[1:]))
    if as_json:
        click.echo(json.dumps(made.to_json(), indent=2))
    else:
        _tell(made)
        click.echo(f"\nplan: {written[1]}\nnumbers and calibration: {written[0]}")


def _assumptions(words: dict[str, Any]) -> Assumptions:
    from distbelief.coordinator.planning.assumptions import Assumptions, straggler_flag

    share, factor = straggler_flag(words["stragglers"])
    links = {
        name: None if words[name] is None else MEGABIT * words[name]
        for name in ("link", "server_link")
    }
    return Assumptions(
        processes=words["machine_processes"],
        worker_price=words["worker_price"],
        server_price=words["server_price"],
        stragglers=share,
        straggling=factor,
        lives_h=math.inf if words["lives_hours"] is None else words["lives_hours"],
        most_replicas=words["most_replicas"],
        most_servers=words["most_servers"],
        wanted=words["throughput"],
        **links,
    )


def _calibrate(settings: dict[str, Any], seconds: float) -> Calibration:
    from distbelief.app.models.imports import allow_imports_of
    from distbelief.coordinator.planning.calibrating import calibrate

    config, cluster = configure(settings)
    allow_imports_of(config)
    return calibrate(settings, cluster, seconds, _say)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _tell(made: FleetPlan) -> None:
    from distbelief.coordinator.planning.tables import lines, shown

    for caption, cells in shown(made):
        click.echo(f"{caption}:")
        print_table(partial(lines, cells))
        click.echo()
    print_lines([*made.sentences(), "", *made.notes()])
