"""Names of classes, however a file writes them."""

from __future__ import annotations

from typing import Any

from distbelief.app.datasets.examples.schema import Label


class FoundLabels(dict[Any, int]):
    """Numbers for whatever is asked for, in order of appearance."""

    def __init__(self, most: int) -> None:
        self._most = most

    def __missing__(self, written: Any) -> int:
        if len(self) == self._most:
            raise OverflowError
        self[written] = len(self)
        return self[written]


class KnownLabels(dict[Any, int]):
    """The number of each known label, however it is written."""

    def __init__(self, labels: tuple[Label, ...]) -> None:
        self._numbers = {label: number for number, label in enumerate(labels)}

    def __missing__(self, written: Any) -> int:
        for label in (str(written), whole(written)):
            if label in self._numbers:
                self[written] = self._numbers[label]
                return self[written]
        raise KeyError(written)


def whole(written: Any) -> int | None:
    """``written`` as a whole number, if it is one: 3, 3.0, True, "+3", "3.0"."""
    if not isinstance(written, float):
        try:
            return int(written)
        except ValueError:
            pass
    try:
        number = float(written)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
