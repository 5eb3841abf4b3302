"""What is wrong with a setting, as a person would put it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from distbelief.app.errors import ConfigError
from distbelief.app.settings.synonyms import advice

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Characters of a value in a message.
MOST_SHOWN = 200

#: Numbers that are written out, at most.
LARGEST = 1e15

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


def of_fields(section: type[BaseModel], values: Mapping[str, Any]) -> str:
    """What is wrong with a value by itself; empty if nothing is."""
    try:
        section.model_validate(values)
    except ValidationError as error:
        return _sentence(error, [*section.model_fields]) if error.errors()[0]["loc"] else ""
    return ""


def _wording(error: ErrorDetails) -> str:
    """What is wanted, and how it is written, where pydantic would speak of types of Python."""
    kind, value = error["type"], error["input"]
    in_list = len(error["loc"]) > 1
    match kind:
        case "int_parsing" | "int_from_float" if in_list:
            numbers = re.findall(r"\d+", str(value))
            return f"must be whole numbers with commas between them, {','.join(numbers) or '64,32'}"
        case "int_parsing" | "int_from_float":
            return f"must be a whole number{_as_whole_number(value)}"
        case "float_parsing":
            return "must be a number"
        case "tuple_type" if isinstance(value, str) and re.fullmatch(r"[\d., ]+", value):
            return f"must be a list, [{value}]"
        case "tuple_type":
            return "must be a list"
        case "dict_type" if isinstance(value, str) and "=" in value:
            name, _, rest = value.partition("=")
            return f'must be a table, {{ {name} = "{rest}" }}'
        case "dict_type":
            return "must be a table of names and values"
        case "string_pattern_mismatch":
            plain = re.sub(r"[^A-Za-z0-9._-]+", "-", str(value)).strip("-.")
            return f"must be of letters, digits, '.', '_' and '-', such as {plain or 'first'}"
        case _:
            return ""


def _as_whole_number(value: Any) -> str:
    """One that was written with an exponent or a point, as it is written."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return ""
    return f": {number:.0f}" if number.is_integer() and abs(number) < LARGEST else ""


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
    message = _wording(first) or first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name, value = str(first["loc"][0]), _shown(first["input"])
    for other in others:  # another kind of value that the same setting may have
        if other["loc"][0] == name and other["type"] == "literal_error":
            message += f", or {other['ctx']['expected']}"
    if "://" in value:  # it may hold a password
        value = "..."
    return f"{name} = {value} is not allowed: {message[0].lower()}{message[1:]}"
