"""What is read is not written over."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from distbelief.app.datasets.reading.files import is_pattern, local_path
from distbelief.app.errors import ConfigError


def spare(output: Path, sources: Iterable[str | None]) -> None:
    """Raise ConfigError if ``output`` would replace one of the files that are read."""
    for source in filter(None, sources):
        if _is_among(output, source):
            raise ConfigError(
                f"output = {output} is not allowed: it would replace what is read from {source}; "
                "name another file"
            )


def _is_among(output: Path, source: str) -> bool:
    """Whether that file is there, and is what ``source`` means, or one of its files."""
    path = local_path(source)
    if path is None or not output.exists():
        return False
    found = [path] if Path(path).exists() or not is_pattern(path) else glob.glob(path)
    with suppress(OSError, ValueError):  # a name of data that are no file
        return any(
            Path(each).samefile(output) or Path(each).resolve() in output.resolve().parents
            for each in found
        )
    return False
