"""Names of classes, however a file writes them.

Text is a name as it stands: ``01`` and ``1`` are two, ``00501`` keeps its zeros. Only where all
names of a column are whole numbers as numbers are usually written (3, +3, -3, 3.0, 3e0), they
are those numbers.
"""

from __future__ import annotations

import re
from typing import Any

from distbelief.app.datasets.examples.schema import Label
from distbelief.app.datasets.reading.values import truth

#: A number without zeros in front, as int, NumPy, pandas and LIBSVM tools write whole ones.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)

#: From here on not every whole number is a float, or an int64.
_EXACT, _LARGEST, _LONGEST = 2.0**53, 2**63, 21


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
    """The number of each known label, however it is written: as a text, a number, a truth value."""

    def __init__(self, labels: tuple[Label, ...]) -> None:
        self._numbers = {label: number for number, label in enumerate(labels)}
        truths = {truth(label): number for number, label in enumerate(labels)}
        self._truths = {value: number for value, number in truths.items() if value is not None}

    def __missing__(self, written: Any) -> int:
        for label in (str(written), whole(written), truth(written)):
            if label in self._numbers:
                self[written] = self._numbers[label]
                return self[written]
        meant = truth(written)
        if meant is None or meant not in self._truths:
            raise KeyError(written)
        self[written] = self._truths[meant]
        return self[written]


def whole(written: Any) -> int | None:
    """``written`` as a whole number, if it is one as they are written: 3, 3.0, True, "+3"."""
    if isinstance(written, str):
        match = _NUMBER.fullmatch(written)
        if match is None:
            return None
        if match.group(1) is match.group(2) is None:
            exact = int(written) if len(written) < _LONGEST else _LARGEST
            return exact if abs(exact) < _LARGEST else None
    elif isinstance(written, int):
        return int(written)
    number = float(written)
    return int(number) if number.is_integer() and abs(number) <= _EXACT else None
