"""Lines that cannot be used: so many are tolerated and remembered, the next is an error."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.errors import DataError


@dataclass(frozen=True)
class Fault:
    """One unusable line.

    Attributes:
        file: the file's name, as in messages.
        line: from 1, as an editor shows it; for formats without lines the row, from 0.
        reason: what is wrong with it.
        unit: ``line`` or ``row``.
    """

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}: {self.unit} {self.line}: {self.reason}"


class Faults:
    """The unusable lines so far; ``add`` raises DataError for the first one too many."""

    def __init__(self, tolerated: int) -> None:
        self.tolerated = tolerated
        self.skipped: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if len(self.skipped) < self.tolerated:
            self.skipped.append(fault)
        elif self.tolerated:
            raise DataError(
                f"{fault}; this is bad {fault.unit} number {self.tolerated + 1}, and the option "
                f"bad_lines={self.tolerated} tolerates no more"
            )
        else:
            raise DataError(f"{fault} (the option bad_lines=N skips up to N bad {fault.unit}s)")
