"""A column that is no feature: it says which examples are held out, or in which order they are.

holdout     train, 0, false or no; heldout, validation, 1, true or yes; test
split    numbers, or dates and times as ISO 8601 writes them; without a zone they are UTC
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.decimals import number
from distbelief.app.datasets.reading.values import shown
from distbelief.app.datasets.split.division import HELDOUT, TEST, TRAIN

Float64s = npt.NDArray[np.float64]

#: Options that name such a column; one at most is given.
HOLDOUT, SPLIT = APART = ("holdout", "split")

_PARTS = {
    TRAIN: "train training 0 0.0 false f no n",
    HELDOUT: "heldout held-out holdout validation valid val dev eval 1 1.0 true t yes y",
    TEST: "test testing",
}
_PART_OF = {word: float(part) for part, words in _PARTS.items() for word in words.split()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def given(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """The option that is given, and the column that it names."""
    return next(((name, settings[name]) for name in APART if settings.get(name)), None)


def apart_values(texts: Iterable[str], option: str) -> Float64s:
    """What a column says, as numbers; ValueError if one of them says nothing."""
    read, known = _READ[option], dict[str, float]()
    return np.array([known[t] if t in known else known.setdefault(t, read(t)) for t in texts])


def fault_of_apart(text: str, option: str) -> str | None:
    """Why a value cannot be used; None if it can."""
    try:
        _READ[option](text)
    except ValueError:
        allowed = "train, heldout or test (or 0 or 1)"
        if option == SPLIT:
            allowed = "a finite number, or a date or time like 2024-12-31 or 2024-12-31T23:59:59"
        return f"{shown(text)} must be {allowed}, for {option}"
    return None


def _part(text: str) -> float:
    try:
        return _PART_OF[text.strip().lower()]
    except KeyError:
        raise ValueError from None


def _place(text: str) -> float:
    text = text.strip()
    try:
        value = number(text.encode())
    except ValueError:
        return _microseconds(text)
    if not np.isfinite(value):
        raise ValueError
    return value


def _microseconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return float((moment - _EPOCH) // timedelta(microseconds=1))


_READ: Mapping[str, Callable[[str], float]] = {HOLDOUT: _part, SPLIT: _place}
