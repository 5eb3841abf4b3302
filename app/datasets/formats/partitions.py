"""Columns that the folders of Parquet files stand for, as ``year=2024``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from distbelief.app.datasets.reading.arrow import NUMBERS, TEXT, WHOLE, Constant
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.header import is_number
from distbelief.app.datasets.reading.notation import Notation


def constants_of(file: DataFile, kinds: Mapping[str, str]) -> dict[str, Constant]:
    """The columns that the folders of a file stand for, of these kinds."""
    types, constants = {TEXT: str, WHOLE: int, NUMBERS: float}, {}
    for name, value in file.partition:
        kind = kinds[name]
        constants[name] = Constant(kind, types[kind](value) if value else None)
    return constants


def partition_kinds(files: Sequence[DataFile]) -> dict[str, str]:
    """The kind of each column: whole numbers if all folders say such, else numbers, else text."""
    values: dict[str, list[str]] = {}
    for name, value in (pair for file in files for pair in file.partition if pair[1]):
        values.setdefault(name, []).append(value)
    names = [name for name, _ in files[0].partition]
    return {name: _kind_of_texts(values.get(name, [])) for name in names}


def _kind_of_texts(texts: Sequence[str]) -> str:
    if all(re.fullmatch("-?(0|[1-9][0-9]{0,17})", text) for text in texts):
        return WHOLE
    return NUMBERS if all(is_number(text, Notation()) for text in texts) else TEXT
