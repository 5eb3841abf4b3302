"""What is read is not written over."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from distbelief.app.errors import ConfigError


def spare(output: Path, sources: Iterable[str | None]) -> None:
    """Raise ConfigError if ``output`` would replace one of the files that are read."""
    for source in filter(None, sources):
        with suppress(OSError, ValueError):  # a URL, a pattern, a name: no file
            if output.samefile(source):
                raise ConfigError(
                    f"output = {output} is not allowed: it would replace what is read from there; "
                    "name another file"
                )
