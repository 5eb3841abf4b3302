"""The command line: ``distbelief``, and ``python -m coordinator`` in a checkout."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import click

from distbelief.app.errors import DistBeliefError, ExitCode
from distbelief.coordinator.commands.group import LazyGroup
from distbelief.coordinator.commands.wording import in_flags
from distbelief.coordinator.progress.program import lacking, program
from distbelief.coordinator.views.terminal import protect_terminal

#: Exit code of a program whose reader went away (128 and the number of SIGPIPE).
NO_READER = 141

#: Set by the scripts of ``completion``: what the shell wants to know.
COMPLETE = "_DISTBELIEF_COMPLETE"


def _tell_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from distbelief.app.runs.versions import versions

        click.echo(", ".join(f"{name} {each}" for name, each in versions().items()))
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
def main(debug: bool) -> None:
    """DistBelief on Celery and Redis: one model, trained by many workers."""
    # ``run`` looks for --debug itself: it may stand behind a command, too.


# Commands are imported when they are called: this list alone makes --help quick.
main.add_lazy("train", "distbelief.coordinator.commands.train:train", "Train a model.")
main.add_lazy(
    "resume",
    "distbelief.coordinator.commands.train:resume",
    "Go on with a run that was stopped, that failed, or whose coordinator died.",
)
main.add_lazy(
    "status",
    "distbelief.coordinator.commands.runs:status",
    "How a run stands, from another terminal.",
)
main.add_lazy(
    "runs",
    "distbelief.coordinator.commands.runs:runs",
    "List runs: those in the folder, and those on the control server.",
)
main.add_lazy(
    "stop",
    "distbelief.coordinator.commands.runs:stop",
    "Have a run make a checkpoint and stop; it can be resumed.",
)
main.add_lazy(
    "evaluate",
    "distbelief.coordinator.commands.inference:evaluate",
    "Score a saved model on labelled data.",
)
main.add_lazy(
    "predict",
    "distbelief.coordinator.commands.predict:predict",
    "Predict for new examples: a line each, as CSV.",
)
main.add_lazy(
    "describe",
    "distbelief.coordinator.commands.describe:describe",
    "Say what a saved model is for, what it was trained on, and how good it was.",
)
main.add_lazy(
    "export",
    "distbelief.coordinator.commands.export:export",
    "Write the parameters of a saved model, or of a run.",
)
main.add_lazy(
    "report",
    "distbelief.coordinator.commands.report:report",
    "Write a page with figures of a run, or of several runs in the same axes.",
)
main.add_lazy(
    "compare",
    "distbelief.coordinator.commands.compare:compare",
    "Compare ways of training: what each costs until it is as good as the others.",
)
main.add_lazy(
    "plan",
    "distbelief.coordinator.commands.plan:plan",
    "Say how many workers and servers a training needs, and what it will cost.",
)
main.add_lazy(
    "data",
    "distbelief.coordinator.commands.data:data_command",
    "Describe a data file: examples, features, classes, bad lines.",
)
main.add_lazy(
    "doctor",
    "distbelief.coordinator.commands.doctor:doctor",
    "Look whether everything is there that a run needs, and say what to do.",
)
main.add_lazy(
    "completion",
    "distbelief.coordinator.commands.completion:completion",
    "Print the script that completes commands in your shell.",
)


def run() -> NoReturn:
    """Run the command line: one sentence for an error, and the exit code that names it."""
    debug = "--debug" in sys.argv[1:]
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(main, {}, "distbelief", COMPLETE, instruction))
    protect_terminal()
    try:
        _invoke()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as interrupt:
        click.echo("interrupted: everything that was started has been ended", err=True)
        sys.exit(getattr(interrupt, "exit_code", ExitCode.INTERRUPTED))
    except BrokenPipeError:
        _forget_output()
        sys.exit(NO_READER)
    except DistBeliefError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {in_flags(str(error))}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  (a sentence for what nobody thought of)
        if debug:
            traceback.print_exc()
        click.echo(_unthought_of(error, debug=debug), err=True)
        sys.exit(ExitCode.INTERNAL)
    sys.exit(ExitCode.OK)


def _unthought_of(error: Exception, *, debug: bool) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"error: {lacking(error)}"
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = "" if debug else "; --debug shows where it comes from"
    return f"internal error: {said}{hint}"


def _invoke() -> None:
    with main.make_context(program(), sys.argv[1:]) as ctx:
        main.invoke(ctx)
    sys.stdout.flush()  # a reader that went away is noticed here, and not after all is done


def _forget_output() -> None:
    """Nobody reads: what is still to be written must not raise when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
