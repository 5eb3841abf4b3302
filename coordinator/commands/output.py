"""The output of commands: for people on a console, for machines as JSON."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
