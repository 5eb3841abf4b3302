"""The command that compares ways of training."""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distbelief.app.errors import ExitCode
from distbelief.app.settings.data import DataSettings
from distbelief.app.settings.extras import needed
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.commands.options import (
    SectionedCommand,
    given_settings,
    pairs,
    settings_options,
)
from distbelief.coordinator.commands.output import as_json, print_lines, print_table
from distbelief.coordinator.commands.run_flags import add_environment
from distbelief.coordinator.comparison.methods import known_methods
from distbelief.coordinator.progress.program import program

if TYPE_CHECKING:
    from distbelief.coordinator.comparison.comparison import Comparison
    from distbelief.coordinator.comparison.page import Written
    from distbelief.coordinator.comparison.summary import Summary

METHODS = ", ".join(method.name for method in known_methods())

#: All but those of somebody else's run.
CODES = [code for code in ExitCode if code is not ExitCode.TAKEN]


@click.command(
    cls=SectionedCommand,
    examples=(
        "compare",
        "compare --data mine.npz --model softmax --methods downpour-adagrad,sandblaster",
        "compare --replicas 1,2,4,8 --seeds 5 --budget 20 --rates 0.01,0.03,0.1,0.3",
        "compare --setting batch_size=64 --setting n_push=1 --target 0.96",
        "compare --broker redis://host:6379/0 \\\n"
        "      --parameter-servers redis://ps1:6379,redis://ps2:6379",
    ),
    codes=CODES,
)
@click.option("--methods", metavar="LIST", help=f"Ways of training: {METHODS}. [default: all]")
@click.option(
    "--replicas", metavar="LIST", default="2,4", help="Numbers of replicas. [default: 2,4]"
)
@click.option(
    "--seeds", metavar="INTEGER", type=click.IntRange(min=1), default=3,
    help="Seeds that count; rates are tuned with one of their own. [default: 3]",
)  # fmt: skip
@click.option(
    "--rates", metavar="LIST", default="0.03,0.1,0.3,1",
    help="Learning rates that each method is tried with first. [default: 0.03,0.1,0.3,1]",
)  # fmt: skip
@click.option(
    "--budget", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), default=3.0,
    help="Seconds that each trial trains. [default: 3]",
)  # fmt: skip
@click.option(
    "--target", metavar="NUMBER", type=float,
    help="Held-out figure that all are to reach. [default: 0.99 of the best median]",
)  # fmt: skip
@click.option(
    "--target-loss", metavar="NUMBER", type=float,
    help="Training loss that all are to reach. [default: the lowest median, and 0.01 of the way "
    "from there to that of the first values]",
)  # fmt: skip
@click.option(
    "--setting", "more", metavar="KEY=VALUE", multiple=True,
    help="Any other setting of a training, for all trials; passes and iterations end them before "
    "the budget does. [default: none]",
)  # fmt: skip
@click.option("--broker", metavar="URL", help="Celery's broker. [default: embedded servers]")
@click.option("--control", metavar="URL", help="Control server. [default: the broker, a Redis]")
@click.option(
    "--celery-app", metavar="NAME", help="Celery application of yours that trains. [default: ours]"
)
@click.option(
    "--parameter-servers", metavar="LIST", help="URLs of the parameter servers. [default: none]"
)
@click.option(
    "--servers", metavar="INTEGER", help="Embedded parameter servers to start. [default: 2]"
)
@click.option(
    "--folder", metavar="TEXT", default="runs/comparison",
    help="Folder of the trials and the page. [default: runs/comparison]",
)  # fmt: skip
@as_json
@settings_options(ModelSettings, DataSettings)
def compare(as_json: bool, **flags: Any) -> None:
    """Compare ways of training: what each costs until it is as good as the others.

    The same problem is trained by one process, by one replica, by Downpour with several update
    rules and by Sandblaster, with several numbers of replicas and over several seeds, each with
    the best of some learning rates. The page says what came out, and whether the statement of
    Dean et al. (2012) holds here; beside it lie its figures, all numbers as CSV, and as JSON.

    Trials that were made are kept in the folder: the same command goes on after an interruption,
    and makes only what is missing when more seeds, methods, rates or replicas are asked for.
    """
    for module in ("matplotlib", "jinja2"):
        needed(module, f"a comparison needs the package {module}", "report")
    from distbelief.coordinator.cluster.joined import complete
    from distbelief.coordinator.comparison.comparison import Comparison
    from distbelief.coordinator.comparison.page import write

    settings = given_settings(flags, (ModelSettings, DataSettings))
    settings |= pairs("setting", flags["more"])
    named = ("broker", "control", "celery_app", "servers")
    cluster = {name: flags[name] for name in named if flags[name] is not None}
    cluster |= _urls(flags["parameter_servers"])
    add_environment(cluster)
    complete(cluster)
    if (short := cluster.pop("unit_seconds", None)) is not None:  # of trainings, not of a place
        settings.setdefault("unit_seconds", short)
    comparison = Comparison.of(
        settings,
        cluster,
        methods=_words(flags["methods"] or ""),
        replicas=_words(flags["replicas"]),
        rates=_words(flags["rates"]),
        n_seeds=flags["seeds"],
        budget_s=flags["budget"],
        folder=Path(flags["folder"]),
        command=shlex.join([*program().split(), *sys.argv[1:]]),
    )
    comparison.run(lambda text: click.echo(text, err=True))
    summary = comparison.summary(flags["target"], flags["target_loss"])
    written = write(comparison, summary)
    _tell(comparison, written, summary, as_json=as_json)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _urls(text: str | None) -> dict[str, Any]:
    from distbelief.app.settings.environment import split_urls

    return {} if text is None else {"parameter_servers": split_urls(text)}


def _tell(comparison: Comparison, written: Written, summary: Summary, *, as_json: bool) -> None:
    from distbelief.coordinator.comparison.tables import document, lines, overview
    from distbelief.coordinator.comparison.words import sentences

    if as_json:
        click.echo(json.dumps(document(comparison.facts, comparison.budget_s, summary), indent=2))
        return
    print_table(partial(lines, overview(summary)))
    print_lines(sentences(summary))
    for file in written.files:
        click.echo(f"written: {file}")
