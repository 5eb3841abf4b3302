"""Errors in the words of the command line: what a sentence calls an option is given by a flag."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from distbelief.coordinator.progress.program import program

_OPTION = re.compile(r"\b(?:the )?option (?=([a-z_]+)\b)")


def in_flags(sentence: str) -> str:
    """A sentence about options of the data, as whoever types a command gives them."""
    from distbelief.app.datasets.formats.options import KNOWN, TARGET_OPTIONS

    names = {"format", *TARGET_OPTIONS, *(name for known in KNOWN.values() for name in known)}
    return _OPTION.sub(lambda found: "--data-option " if found[1] in names else found[0], sentence)


def no_pair(name: str, text: str) -> str:
    """What is said of a text without = for the setting of that name, whose values have one."""
    flag = "--" + name.replace("_", "-").removesuffix("s")
    example = f", such as {flag} target=price" if name == "data_options" else ""
    return f"{flag} takes KEY=VALUE{example}, got '{text}'"


def misplaced(
    args: Sequence[str], flags: Sequence[str], lists: Sequence[str], pairs: Sequence[str]
) -> str:
    """How to write what stands where nothing may stand; empty if that is not known.

    ``flags`` are those of the command, ``lists`` those whose values are lists, ``pairs`` those
    whose values have a name.
    """
    for flag, *values in zip(args, args[1:], args[2:], strict=False):
        if flag in pairs and not any(each.startswith("-") or "=" in each for each in values):
            return f": {flag} takes KEY=VALUE, {flag} {'='.join(values)}"
        if flag in lists and not any(value.startswith("-") for value in values):
            return f": a list is written with commas, {flag} {','.join(values)}"
    if "--data" in flags and args and not args[0].startswith("-"):
        return f": data are named by a flag, --data {args[0]}"
    return ""


def whereabouts(missing: click.MissingParameter) -> str:
    """Where to find what was not given, as the end of a sentence."""
    name = missing.param.name if missing.param is not None else None
    if name in ("run", "runs"):
        return f": '{program()} runs' lists them"
    if name in ("model", "model_file"):
        return ": train writes it (runs/RUN/model.safetensors)"
    return "."
