"""The command line: ``python -m coordinator``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from app.config import CLUSTER_SECTIONS, SECTIONS, configure, read_toml
from app.environment import BROKER, PARAMETER_SERVERS, named_broker, parameter_server_urls
from app.errors import DistBeliefError, ExitCode
from app.models.imports import allow_imports_of
from coordinator.commands.conversion import conversion_shown
from coordinator.commands.options import SectionedCommand, given, settings_options
from coordinator.commands.report import report
from coordinator.commands.using import data_command, evaluate, predict
from coordinator.job import Job, prepare
from coordinator.outcome import EndReason, Outcome
from coordinator.runs import resumption
from coordinator.training import resume as resume_training
from coordinator.training import train as run_training
from coordinator.views.following import follow as follow_run
from coordinator.views.overview import overview, overviews
from coordinator.views.progress import described, display, listed, summary

EXIT_CODES = "Exit codes: " + ", ".join(f"{code} {code.name.lower()}" for code in ExitCode)

TRAIN_EXAMPLES = f"""
Examples:
  python -m coordinator train
  python -m coordinator train --replicas 4 --n-push 10 --n-fetch 10 --warm-start-steps 200
  python -m coordinator train --data mine.npz --model softmax --optimizer sgd --l2 1e-4
  python -m coordinator train --model mypackage.models:MyModel --model-option width=32
  python -m coordinator train --config run.toml --seed 7
  python -m coordinator train --broker redis://host:6379/0 \\
      --parameter-servers redis://ps1:6379,redis://ps2:6379

A TOML file has the same settings with underscores: learning_rate = 0.05
URLs with passwords are better given as {BROKER} and
{PARAMETER_SERVERS} than on the command line.
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="distbelief")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """DistBelief on Celery and Redis: one model, trained by many workers."""
    ctx.obj = debug


@main.command(cls=SectionedCommand, epilog=TRAIN_EXAMPLES)
@click.option("--config", "config_file", metavar="FILE", help="TOML file; flags override it.")
@settings_options(*SECTIONS)
def train(config_file: str | None, **flags: Any) -> None:
    """Train a model.

    Without --broker everything runs here: servers and workers are started, and ended
    again. With --broker and --parameter-servers nothing is started: the servers and the
    workers (celery -A app worker) are those that run there.
    """
    settings = read_toml(Path(config_file)) if config_file else {}
    settings |= given(flags, SECTIONS)
    _add_environment(settings)
    config, cluster = configure(settings)
    # Whoever types an import path on the command line allows it, for this process and for
    # the workers that it starts; workers elsewhere ask their own operator.
    allow_imports_of(config)
    console = Console(stderr=True)
    with conversion_shown(console) as progress:
        job = prepare(config, len(cluster.parameter_servers) or cluster.servers, progress)
    with display(console, job.yardstick) as shown:
        outcome = run_training(job, cluster, shown)
    _report(outcome, job)


def _report(outcome: Outcome, job: Job) -> None:
    for line in summary(outcome, job.yardstick):
        click.echo(line)
    if outcome.reason is EndReason.INTERRUPTED:
        sys.exit(ExitCode.INTERRUPTED)


@main.command(
    cls=SectionedCommand,
    epilog="""
Examples:
  python -m coordinator resume 20261122-180858-050a
  python -m coordinator resume 20261122-180858-050a --servers 3
""",
)
@click.argument("run")
@click.option("--take-over", is_flag=True, help="Take the run from a coordinator that lives.")
@settings_options(*CLUSTER_SECTIONS)
def resume(run: str, take_over: bool, **flags: Any) -> None:
    """Go on with a run that was stopped, that failed, or whose coordinator died.

    What it is comes from its folder, or from its control server. Shards that are still on
    their servers go on from where they stand, lost ones from the last checkpoint; the
    number of servers may be another one than before.
    """
    found = resumption.find(run, _cluster_settings(flags))
    job = resumption.job_of(found, take_over=take_over)
    with display(Console(stderr=True), job.yardstick) as shown:
        outcome = resume_training(job, found.cluster, found.folder, shown, take_over=take_over)
    _report(outcome, job)


def _where(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that say where runs are."""
    folder = click.option("--folder", default=None, help="Folder of the runs. [default: runs]")
    broker = click.option("--broker", metavar="URL", default=None, help="Their control server.")
    as_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
    return folder(broker(as_json(function)))


STATUS_EXAMPLES = """
Examples:
  python -m coordinator status 20261122-180858-050a
  python -m coordinator status 20261122-180858-050a --follow
"""


@main.command(epilog=STATUS_EXAMPLES, cls=SectionedCommand)
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Keep showing it, until it ends.")
@_where
def status(run: str, follow: bool, as_json: bool, **where: str | None) -> None:
    """How a run stands, from another terminal.

    With --follow the exit code tells how it ended: that of its training. Ctrl-C leaves the
    run alone; with --json there is a line for each change.
    """
    if follow:
        sys.exit(follow_run(run, _place_of(where), Console(), as_json=as_json))
    seen = overview(run, _place_of(where))
    if as_json:
        click.echo(json.dumps(seen.to_json(), indent=2))
    else:
        click.echo("\n".join(described(seen)))


@main.command(epilog="Example: python -m coordinator runs --broker redis://host:6379/0")
@_where
def runs(as_json: bool, **where: str | None) -> None:
    """List runs: those in the folder, and those on the control server."""
    seen = overviews(_place_of(where))
    if as_json:
        click.echo(json.dumps([each.to_json() for each in seen], indent=2))
    else:
        Console(soft_wrap=True).print(listed(seen))


@main.command(epilog="Example: python -m coordinator stop 20261122-180858-050a")
@click.argument("run")
@click.option("--wait", is_flag=True, help="Return when it has stopped.")
@_where
def stop(run: str, wait: bool, as_json: bool, **where: str | None) -> None:
    """Have a run make a checkpoint and stop; it can be resumed."""
    found = resumption.find(run, _place_of(where))
    resumption.stop(found)
    if wait:
        resumption.wait_for_end(found)
    state = "stopped" if wait else "stopping"
    click.echo(json.dumps({"run": run, "state": state}) if as_json else f"run {run} is {state}")


def _place_of(where: dict[str, str | None]) -> dict[str, Any]:
    settings: dict[str, Any] = {name: value for name, value in where.items() if value is not None}
    _add_environment(settings)
    if "broker" in settings:  # a run is looked for; where its parameters are is in its record
        settings.setdefault("parameter_servers", (settings["broker"],))
    return settings


def _cluster_settings(flags: dict[str, Any]) -> dict[str, Any]:
    settings = given(flags, CLUSTER_SECTIONS)
    _add_environment(settings)
    return settings


main.add_command(data_command)
main.add_command(evaluate)
main.add_command(predict)
main.add_command(report)


def _add_environment(settings: dict[str, Any]) -> None:
    """Servers from the environment, where neither the file nor a flag names any."""
    if "broker" not in settings and (broker := named_broker()):
        settings["broker"] = broker
    if "parameter_servers" not in settings and parameter_server_urls():
        settings["parameter_servers"] = parameter_server_urls()


def run() -> NoReturn:
    """Run the command line: one sentence for an error, and the exit code that names it."""
    debug = "--debug" in sys.argv[1:2]
    try:
        main.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: everything that was started has been ended", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except DistBeliefError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(ExitCode.OK)
