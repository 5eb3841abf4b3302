"""Optional packages, which ``pip`` installs as extras of ours.

What every worker and every training needs is always installed, and nothing else: what only some
data or some commands need is imported where it is used, by :func:`needed`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from distbelief.app.errors import ConfigError, DistBeliefError


def installation(extra: str) -> str:
    """The command that installs an extra: from the checkout, or with the wheel made of it.

    No index has this project: anybody could register its bare name there.
    """
    return f"pip install '.[{extra}]' in the checkout, or 'WHEEL[{extra}]'"


def needed(
    module: str, sentence: str, extra: str, error: type[DistBeliefError] = ConfigError
) -> Any:
    """Import a module of an optional package.

    Args:
        module: its dotted name.
        sentence: who needs which package, as "Parquet files need pyarrow".
        extra: our extra that brings it.
        error: what is raised if it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        # Another module that is missing is a mistake in what is installed.
        if (missing.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise error(f"{sentence}: {installation(extra)}") from missing
