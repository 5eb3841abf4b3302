"""What is wrong with a setting, as a person would put it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from distbelief.app.errors import ConfigError
from distbelief.app.settings.synonyms import advice

#: Characters of a value in a message.
MOST_SHOWN = 200

Settings = TypeVar("Settings", bound=BaseModel)


def told(data: Any, validate: Callable[[Any], Settings], known: list[str]) -> Settings:
    """The settings; raises ConfigError for faults of ``data``."""
    try:
        return validate(data)
    except ValidationError as error:
        raise ConfigError(_sentence(error, known)) from None


def unknown(name: str, known: list[str]) -> str:
    hint = advice(name, known) or f"known are {', '.join(known)}"
    return f"unknown setting '{name}': {hint}"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "..."
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _sentence(error: ValidationError, known: list[str]) -> str:
    """The first complaint, as a person would put it."""
    for each in error.errors():
        if each["type"] == "extra_forbidden":
            return unknown(str(each["loc"][0]), known)
    first, *others = error.errors()
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name, value = str(first["loc"][0]), _shown(first["input"])
    for other in others:  # another kind of value that the same setting may have
        if other["loc"][0] == name and other["type"] == "literal_error":
            message += f", or {other['ctx']['expected']}"
    if "://" in value:  # it may hold a password
        value = "..."
    return f"{name} = {value} is not allowed: {message[0].lower()}{message[1:]}"
