"""The flags that say where runs and their servers are; the environment may say it, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from distbelief.app.settings.environment import (
    BROKER,
    named_broker,
    named_control,
    named_key_prefix,
    parameter_server_urls,
    told_broker,
)
from distbelief.coordinator.progress.program import FOLDER


def run_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say where runs are to a command."""
    folder = click.option(
        "--folder", metavar="TEXT", default=None, help=f"Folder of the runs. [default: {FOLDER}]"
    )
    broker = click.option(
        "--broker", metavar="URL", default=None, help="Their broker, if it is the control server."
    )
    control = click.option("--control", metavar="URL", default=None, help="Their control server.")
    return folder(broker(control(function)))


def run_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of the runs in the folder, for the shell's completion; the newest first."""
    folder = Path(ctx.params.get("folder") or FOLDER)
    names = (path.parent.name for path in folder.glob("*/run.json"))
    return sorted((name for name in names if name.startswith(incomplete)), reverse=True)


def cluster_settings(flags: Mapping[str, str | None]) -> dict[str, Any]:
    """The settings of a cluster from :func:`run_flags`, and from the environment."""
    settings: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    add_environment(settings)
    # A run is looked for; where its parameters are is in its record.
    if server := settings.get("control") or settings.get("broker"):
        settings.setdefault("parameter_servers", (server,))
    return settings


def add_environment(settings: dict[str, Any]) -> None:
    """Add servers from the environment, where neither the file nor a flag names any."""
    joined = settings.get("celery_app") is not None  # it has a broker of its own
    if not joined and "broker" not in settings and (broker := named_broker()):
        settings["broker"] = broker
    if "control" not in settings and (control := named_control()):
        settings["control"] = control
    if "parameter_servers" not in settings and parameter_server_urls():
        settings["parameter_servers"] = parameter_server_urls()
    named = joined or {"broker", "control"} & settings.keys()
    if named and "key_prefix" not in settings and (prefix := named_key_prefix()):
        settings["key_prefix"] = prefix


def broker_source(config_file: str | None, flags: Mapping[str, Any]) -> str:
    """What names the broker: a flag, the TOML file or a variable; empty if nothing does.

    The order is that of :func:`distbelief.coordinator.commands.train.collect_settings`.
    """
    if flags.get("broker") is not None:
        return "--broker"
    if config_file:
        from distbelief.app.settings.toml import read_toml

        if "broker" in read_toml(Path(config_file)):
            return config_file
    told = told_broker()
    if told is None:
        return ""
    named = f" ({os.environ[told.source]})" if told.source != BROKER else ""
    return f"{told.source}{named}"
