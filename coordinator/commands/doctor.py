"""The command that says whether everything is there that a run needs."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from distbelief.app.errors import ExitCode
from distbelief.app.settings.config import SECTIONS, RunConfig
from distbelief.coordinator.commands.options import SectionedCommand, settings_options
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.commands.run_flags import broker_source
from distbelief.coordinator.commands.train import collect_settings, config_option
from distbelief.coordinator.views.terminal import safe_console


@click.command(
    cls=SectionedCommand,
    examples=(
        "doctor",
        "doctor --data mine.csv --model softmax --replicas 4",
        "doctor --broker redis://host:6379/0 \\\n"
        "      --parameter-servers redis://ps1:6379,redis://ps2:6379 --json",
    ),
    codes=(
        ExitCode.DATA,
        ExitCode.MODEL,
        ExitCode.UNREACHABLE,
        ExitCode.AUTHENTICATION,
        ExitCode.EVICTION,
        ExitCode.SELF_TEST,
        ExitCode.SERVER,
        ExitCode.NO_WORKERS,
        ExitCode.MISMATCH,
    ),
)
@config_option
@as_json
@settings_options(*SECTIONS)
def doctor(config_file: str | None, as_json: bool, **flags: Any) -> None:
    """Look whether everything is there that a run needs, and say what to do.

    With --broker and --parameter-servers it looks at servers and workers, at their security
    and their clocks; without, at this machine. With settings of a run (--data, --model, ...)
    also at whether workers see these data and can build this model, and at memory.

    It changes nothing. Its exit code is that of the first error, 0 if there is none.
    """
    from distbelief.app.models.imports import allow_imports_of
    from distbelief.app.settings.config import configure
    from distbelief.coordinator.doctor.examination import examine
    from distbelief.coordinator.doctor.findings import exit_code
    from distbelief.coordinator.views.diagnosis import show

    settings = collect_settings(config_file, flags)
    config, cluster = configure(settings)
    allow_imports_of(config)
    described = bool(settings.keys() & RunConfig.model_fields)
    source = broker_source(config_file, flags)
    findings = examine(config, cluster, described=described, source=source)
    code = exit_code(findings)
    if as_json:
        document = {"findings": [each.to_json() for each in findings], "exit_code": code}
        click.echo(json.dumps(document, indent=2))
    else:
        show(safe_console(soft_wrap=True), findings)
    sys.exit(code)
