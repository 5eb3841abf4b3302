"""Lines of CSV files: the first ones, what they are cut by, and those that cannot be used."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.reading.columns import names_of
from distbelief.app.datasets.reading.delimiters import LINES, fitting, guessed
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.lines import blocks
from distbelief.app.datasets.reading.packing import unpacked_name
from distbelief.app.datasets.reading.records import Form, Records, records
from distbelief.app.datasets.reading.text import Text
from distbelief.app.errors import DataError


def head_of(files: Sequence[DataFile], form: Form) -> tuple[DataFile, Records, bool]:
    """The first lines of the first file that has some; whether it has no more."""
    for file in files:
        with closing(records(file, form)) as stream:
            for found in stream:
                found.parse()
                if found.faults and found.faults[0][0] < min(found.lines, default=2**63):
                    line, reason = found.faults[0]
                    raise DataError(f"{file.name}: line {line}: {reason}")
                if found.rows:
                    _check_front(found, file)
                    return file, found, next(stream, None) is None
    raise DataError(f"{files[0].name}: the file is empty")


def _check_front(found: Records, file: DataFile) -> None:
    """Refuse lines in front of the table: a title or a note, of much fewer fields."""
    widths = [len(row) for row in found.rows[:LINES]]
    usual, n_lines = Counter(widths).most_common(1)[0]
    if 2 * widths[0] >= usual or n_lines < 2:
        return
    first = found.lines[widths.index(usual)]
    raise DataError(
        f"{file.name}: line {found.lines[0]} has {widths[0]} of the {usual} fields that lines from "
        f"{first} on have; if it does not belong to the table, the option skip={first - 1} leaves "
        "out what is in front of that; is the option delimiter right?"
    )


def delimiter_of(files: Sequence[DataFile], text: Text) -> str:
    """What the name of the first file that has lines says, or else these lines."""
    for file, content in _fronts(files, text):
        return guessed(content, _named_delimiter(file), file.name)
    return ","


def other_delimiters(files: Sequence[DataFile], text: Text) -> str:
    """What may stand between the fields of lines that seem to have one, in a sentence."""
    for _, content in _fronts(files, text):
        if found := [f"the option delimiter={_written(each)}" for each in fitting(content)]:
            return f"with {' or '.join(found)} there are more"
    return "is the option delimiter right?"


def _fronts(files: Sequence[DataFile], text: Text) -> Iterator[tuple[DataFile, bytes]]:
    """The first lines of each file that has some."""
    for file in files:
        with closing(blocks(file, text)) as stream:
            content = next(stream).content
        if content.strip():
            yield file, content


def _written(delimiter: str) -> str:
    """A delimiter as a shell takes it."""
    return "tab" if delimiter == "\t" else shlex.quote(delimiter)


def _named_delimiter(file: DataFile) -> str | None:
    name = unpacked_name(file.name).lower()
    return {"csv": ",", "tsv": "\t"}.get(name.rpartition(".")[2])


def names_in(row: Sequence[str], file: DataFile) -> tuple[str, ...]:
    """The names of the columns in the first line of a file, and those of its partition."""
    own = row[: len(row) - len(file.partition)]
    return (*names_of(own), *(name for name, _ in file.partition))


def with_gaps(chunk: Chunk, found: Records, columns: Sequence[int]) -> Chunk:
    """Say where rows are missing, and what they hold in the ``columns`` that come along."""
    if not found.faults:
        return chunk
    bad = {line for line, _ in found.faults}
    lines = sorted([*found.lines, *bad])
    passed = []
    for column, texts in zip(columns, chunk.passed, strict=True):
        good = iter(texts)
        passed.append(
            [found.refused.get(n, {}).get(column, "") if n in bad else next(good) for n in lines]
        )
    dropped = tuple(i for i, line in enumerate(lines) if line in bad)
    return replace(chunk, dropped=dropped, passed=tuple(passed))
