"""The commands that train: from the beginning, and from where a run stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distbelief.app.errors import ConfigError, ExitCode
from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import (
    CLUSTER_SECTIONS,
    SECTIONS,
    ClusterConfig,
    RunConfig,
    configure,
)
from distbelief.app.settings.environment import BROKER, PARAMETER_SERVERS
from distbelief.app.settings.toml import read_toml
from distbelief.app.settings.unheeded import unheeded, unheeded_sentences
from distbelief.coordinator.cluster.signals import raise_terminated
from distbelief.coordinator.commands.options import (
    SectionedCommand,
    given_settings,
    settings_options,
)
from distbelief.coordinator.commands.output import as_json, print_lines
from distbelief.coordinator.commands.run_flags import add_environment, run_names
from distbelief.coordinator.commands.wording import in_flags
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.views.terminal import safe_console

if TYPE_CHECKING:  # completion and help begin sooner without them
    from rich.console import Console

    from distbelief.coordinator.problem.problem import Problem
    from distbelief.coordinator.progress.callbacks import Callbacks
    from distbelief.coordinator.progress.outcome import Outcome
    from distbelief.coordinator.runs.resumption import Found

EXAMPLES = (
    "train",
    "train --replicas 4 --n-push 10 --n-fetch 10 --warm-start-steps 200",
    "train --data mine.npz --model softmax --optimizer sgd --l2 1e-4",
    "train --model mypackage.models:MyModel --model-option width=32",
    "train --model softmax --dry-run > run.toml",
    "train --config run.toml --seed 7",
    "train --run nightly --checkpoint-address s3://bucket/runs",
    "train --broker redis://host:6379/0 \\\n"
    "      --parameter-servers redis://ps1:6379,redis://ps2:6379",
)
#: Below the examples.
NOTE = f"""
A TOML file has the same settings with underscores: learning_rate = 0.05
URLs with passwords are better given as {BROKER} and
{PARAMETER_SERVERS} than on the command line.
"""

#: All but those of somebody else's run.
CODES = [code for code in ExitCode if code is not ExitCode.TAKEN]

config_option = click.option(
    "--config", "config_file", metavar="FILE", help="TOML file; flags override it."
)


@click.command(cls=SectionedCommand, examples=EXAMPLES, epilog=NOTE, codes=CODES)
@config_option
@click.option(
    "--run",
    metavar="NAME",
    help="Begin the run of that name, or go on with it: for what restarts programs.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the whole configuration and the plan; start nothing."
)
@as_json
@settings_options(*SECTIONS)
@raise_terminated()
def train(
    config_file: str | None, run: str | None, dry_run: bool, as_json: bool, **flags: Any
) -> None:
    """Train a model.

    Without --broker everything runs here: servers and workers are started, and ended
    again. With --broker and --parameter-servers nothing is started: the servers and the
    workers (celery -A distbelief worker) are those that run there.

    With --dry-run a TOML file is printed, with the plan in its last lines, as comments.

    With --run the same command may be started again, whatever ended it: the run goes on
    from where it stands, if its settings and data are those with which it began. SIGTERM
    ends it with the exit code go_on, and one that has finished ends at once with 0.
    """
    from distbelief.app.models.imports import allow_imports_of
    from distbelief.coordinator.commands.conversion import show_conversion
    from distbelief.coordinator.problem import problem as problems
    from distbelief.coordinator.training import training

    config, cluster = configure(collect_settings(config_file, flags))
    for sentence in unheeded_sentences(config):
        click.echo(f"warning: {sentence}", err=True)
    # Whoever types an import path on the command line allows it, for this process and for
    # the workers that it starts; workers elsewhere ask their own operator.
    allow_imports_of(config)
    found = None
    if run is not None:
        from distbelief.coordinator.runs import resumption
        from distbelief.coordinator.training import named

        found = named.find(run, cluster)
    console = safe_console(stderr=True)
    with show_conversion(console) as progress:
        n_servers = len(cluster.parameter_servers) or cluster.servers
        problem = problems.prepare(config, n_servers, progress)
    if dry_run:
        _print_plan(problem, config, cluster, as_json=as_json)
        return
    if found is not None:
        named.check_same(found.record, problem)
        if resumption.has_finished(found):
            _print_finished(found, as_json=as_json)
            return
    with _shown(problem, console) as shown:
        if found is None:
            outcome = training.train(problem, cluster, shown, run=run)
        else:
            outcome = named.go_on(found, shown)
    _print_outcome(outcome, problem, as_json=as_json)


@click.command(
    cls=SectionedCommand,
    examples=(
        "resume 20261122-180858-050a",
        "resume 20261122-180858-050a --servers 3",
    ),
    codes=ExitCode,
)
@click.argument("run", shell_complete=run_names)
@click.option("--take-over", is_flag=True, help="Take the run from a coordinator that lives.")
@as_json
@settings_options(*CLUSTER_SECTIONS)
@raise_terminated()
def resume(run: str, take_over: bool, as_json: bool, **flags: Any) -> None:
    """Go on with a run that was stopped, that failed, or whose coordinator died.

    What it is comes from its folder, or from its control server. Shards that are still on
    their servers go on from where they stand, lost ones from the last checkpoint; the
    number of servers may be another one than before.
    """
    from distbelief.coordinator.cluster.joined import complete
    from distbelief.coordinator.runs import resumption
    from distbelief.coordinator.training import training

    settings = given_settings(flags, CLUSTER_SECTIONS)
    add_environment(settings)
    found = resumption.find(run, settings)
    if (name := found.cluster.celery_app) is not None:  # it knows passwords, which no run does
        settings = {**settings, "celery_app": name}
        settings.pop("broker", None)  # of our own workers; the application has its own
        complete(settings, found.cluster.parameter_servers)
        found = resumption.find(run, settings)
    problem = resumption.prepare_again(found, take_over=take_over)
    for name in resumption.changed_modules(found.record):
        click.echo(
            f"warning: {name} has changed since the run began, it trains on as it is", err=True
        )
    with _shown(problem, safe_console(stderr=True)) as shown:
        outcome = training.resume(problem, found.cluster, found.folder, shown, take_over=take_over)
    _print_outcome(outcome, problem, as_json=as_json)


@contextmanager
def _shown(problem: Problem, console: Console) -> Iterator[Callbacks]:
    """Show a training as it goes, in the words of the command line."""
    from distbelief.coordinator.views.progress import display

    with display(console, problem.score_formatter) as shown:
        yield replace(shown, say=lambda text: shown.say(in_flags(text)))


def collect_settings(config_file: str | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Collect settings from a file, flags over it, and the environment.

    Data from standard input are kept in a file, which is then the setting.

    Raises:
        ConfigError: the file cannot be read.
        DataError: standard input cannot be kept.
    """
    from distbelief.app.datasets.cache.opening import default_cache_folder
    from distbelief.app.datasets.cache.standard_input import kept
    from distbelief.coordinator.cluster.joined import complete

    settings = read_toml(Path(config_file)) if config_file else {}
    settings |= given_settings(flags, SECTIONS)
    add_environment(settings)
    complete(settings)
    for name in ("data", "holdout_data", "test_data"):
        if isinstance(source := settings.get(name), str):
            settings[name] = kept(source, default_cache_folder())
    return settings


def _print_plan(
    problem: Problem, config: RunConfig, cluster: ClusterConfig, *, as_json: bool
) -> None:
    from distbelief.coordinator.commands.effective import effective, toml_of
    from distbelief.coordinator.problem.completion import COMPLETED
    from distbelief.coordinator.training.announcement import targets_line
    from distbelief.coordinator.training.plan import Plan

    plan = Plan.of(problem, cluster)
    completed = {name: getattr(problem.config, name) for name in COMPLETED}
    idle = unheeded(config.model_copy(update=completed)).get("algorithm", ())
    config = config.model_copy(
        update={name: value for name, value in completed.items() if name not in idle}
    )
    if as_json:
        document = {"configuration": effective(config, cluster), "plan": plan.to_json()}
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(toml_of(config, cluster))
    lines = map(in_flags, (*plan.lines(), *targets_line(problem)))
    click.echo("\n".join(f"# plan: {line}" for line in lines))


def _print_finished(found: Found, *, as_json: bool) -> None:
    """Say that there is nothing left to do for a run; raises ConfigError without its model."""
    run, model = found.record.run, found.folder.model_file(found.cluster)
    if not model.exists():
        raise ConfigError(
            f"run {run} has finished, and its model {model} is not here: look for it where it was "
            f"trained, or read it from its servers with '{command('export', run)}'"
        )
    document = {"run": run, "state": RunState.FINISHED, "model": str(model)}
    text = f"run {run} has finished: there is nothing left to do\nmodel: {model}"
    click.echo(json.dumps(document, indent=2) if as_json else text)


def _print_outcome(outcome: Outcome, problem: Problem, *, as_json: bool) -> None:
    from distbelief.coordinator.progress.outcome import EndReason
    from distbelief.coordinator.report.hindsight import of_folder
    from distbelief.coordinator.views.endings import document
    from distbelief.coordinator.views.progress import summarize

    after = of_folder(outcome.folder / outcome.run)
    if as_json:
        click.echo(json.dumps(document(outcome, problem.score_formatter, after), indent=2))
    else:
        print_lines(summarize(outcome, problem.score_formatter, after))
    if outcome.reason is EndReason.INTERRUPTED:
        sys.exit(ExitCode.GO_ON if outcome.terminated else ExitCode.INTERRUPTED)
