"""The command that looks at data, and at the cache in which they lie converted."""

from __future__ import annotations

import json
import time

import click

from distbelief.app.datasets.cache import upkeep
from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.cache.standard_input import kept
from distbelief.app.errors import ExitCode
from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.commands.conversion import show_conversion
from distbelief.coordinator.commands.options import SectionedCommand, pairs
from distbelief.coordinator.commands.output import as_json
from distbelief.coordinator.commands.wording import in_flags
from distbelief.coordinator.views.description import describe
from distbelief.coordinator.views.terminal import safe_console

data_options = click.option(
    "--data-option", multiple=True, metavar="KEY=VALUE", help="Option of the data source."
)


@click.command(
    "data",
    cls=SectionedCommand,
    examples=(
        "data digits",
        "data clicks.csv --data-option target=clicked --data-option bad_lines=10",
        "data train.libsvm.gz --json",
        "data --cache",
    ),
    codes=(ExitCode.DATA,),
)
@click.argument("file", required=False)
@data_options
@click.option("--cache", is_flag=True, help="Say what the cache of converted data holds.")
@click.option("--clear-cache", is_flag=True, help="Remove what is in the cache and not in use.")
@as_json
def data_command(
    file: str | None, data_option: tuple[str, ...], cache: bool, clear_cache: bool, as_json: bool
) -> None:
    """Describe a data file: examples, features, classes, bad lines.

    The file is anything that train takes, or - for standard input. It is converted as
    train would, so that a training on it begins at once.
    """
    if (file is not None) + cache + clear_cache != 1:
        raise click.UsageError("give one of a file, --cache and --clear-cache")
    if file is None:
        click.echo(_cleared(as_json) if clear_cache else _cache(as_json))
        return
    options = pairs("data_options", data_option)
    with show_conversion(safe_console(stderr=True)) as progress:
        found = describe(kept(file, default_cache_folder()), options, progress)
    lines = map(in_flags, found.lines())
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(lines))


def _cache(as_json: bool) -> str:
    folder, limit = default_cache_folder(), upkeep.cache_limit()
    entries = upkeep.entries(folder)
    total = sum(entry.n_bytes for entry in entries)
    if as_json:
        document = {
            "folder": str(folder),
            "bytes": total,
            "limit": limit,
            "data": [
                {"source": entry.source, "bytes": entry.n_bytes, "used": entry.used}
                for entry in entries
            ],
        }
        return json.dumps(document, indent=2)
    now = time.time()
    return "\n".join(
        [
            f"cache: {folder}, {_megabytes(total)} of {_megabytes(limit)} at most "
            f"({upkeep.LIMIT_VARIABLE})",
            *(
                f"  {entry.source}: {_megabytes(entry.n_bytes)}, "
                f"used {duration_text(max(0.0, now - entry.used))} ago"
                for entry in reversed(entries)
            ),
        ]
    )


def _cleared(as_json: bool) -> str:
    gone, left = upkeep.clear(default_cache_folder())
    if as_json:
        return json.dumps({"removed_bytes": gone, "in_use": [entry.source for entry in left]})
    in_use = ", ".join(entry.source for entry in left)
    return f"removed: {_megabytes(gone)}" + (f"; in use, and still there: {in_use}" if left else "")


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
