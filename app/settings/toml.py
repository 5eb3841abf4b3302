"""Reads settings from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from distbelief.app.errors import ConfigError
from distbelief.app.files.near import near
from distbelief.app.settings.complaints import of_fields, unknown
from distbelief.app.settings.config import KNOWN, SECTIONS

#: The settings that are tables in a TOML file.
TABLES = ("data_options", "model_options")


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        why = f"{error.strerror}{near(path, '*.toml')}"
        raise ConfigError(f"cannot read the configuration {path}: {why}") from error
    except ValueError as error:  # that of tomllib, of Unicode, and of numbers without end
        raise ConfigError(
            f"{path} is not valid TOML: {error}; a setting is a line such as learning_rate = 0.1"
        ) from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: it is nested too deeply") from None
    for name, table in settings.items():
        if isinstance(table, dict) and name not in TABLES:
            inside = f", such as {next(iter(table))}," if table else ""
            raise ConfigError(
                f"{path}: settings{inside} stand by themselves, not in a table: leave [{name}] out"
            )
    if odd := [name for name in settings if name not in KNOWN]:
        raise ConfigError(f"{path}: {unknown(odd[0], KNOWN)}")
    for section in SECTIONS:
        values = {name: settings[name] for name in section.model_fields if name in settings}
        if wrong := of_fields(section, values):
            raise ConfigError(f"{path}: {wrong}")
    return settings
