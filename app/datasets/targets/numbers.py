"""Targets as numbers, and what is seen of them on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.schema import Label
from distbelief.app.datasets.examples.statistics import RunningStatistics
from distbelief.app.datasets.reading.origins import FINEST, origin_near
from distbelief.app.datasets.reading.values import shown, target_number, truth
from distbelief.app.datasets.targets.guess import Evidence
from distbelief.app.datasets.targets.spool import Spool
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]

#: A whole number with zeros in front, as postal codes and the like have.
_CODE = re.compile(r"^[+-]?0[0-9]+$", re.MULTILINE | re.ASCII)

#: Why a target must be a number.
NEEDED = "and a regression needs numbers; models for classes, such as softmax, take names"
AS_OTHERS = "as nearly all others are; the option task=classification takes all for labels"


class Numbers:
    """Each target as float64; NaN for the texts that are none, which are counted.

    The complaint is about the first that is no finite number in float32.
    """

    def __init__(self, folder: Path | None) -> None:
        self.spool = Spool(np.dtype(np.float64), folder)
        self._complaint = ""
        self._n_texts = 0
        self._n_truths = 0
        self._codes = False
        self._fractions = False
        self._count = 0
        self._statistics = RunningStatistics(1)
        self._lowered, self._raised = np.inf, -np.inf

    def add(self, values: Array) -> None:
        """Take the next targets."""
        typed = values.dtype.kind in "biuf"
        if typed:
            numbers = values.astype(np.float64)
            self._n_truths += len(values) if values.dtype.kind == "b" else 0
        else:
            numbers = self._read(values)
        with np.errstate(over="ignore"):
            rounded = numbers.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rounded))
        if len(bad) and not self._complaint:
            self._complain(int(bad[0]), values[bad[0]], float(numbers[bad[0]]))
        self._fractions |= bool((numbers != np.floor(numbers))[np.isfinite(numbers)].any())
        self.spool.add(numbers)
        self._see(numbers, rounded)
        self._count += len(values)

    def check(self, source: str, advice: str) -> None:
        """Raise DataError if one is no usable number, with advice for the case that it is text."""
        if self._complaint:
            raise DataError(f"{source}: {self._complaint}{advice if self._n_texts else ''}")

    def origin(self) -> float:
        """What has to be subtracted so that float32 can tell the targets apart; 0 if nothing."""
        found = self._statistics.now()
        damaged = self._raised - self._lowered > FINEST * float(found.spread[0])
        return origin_near(float(found.mean[0])) if damaged else 0.0

    def blocks(self, origin: float) -> Iterator[Array]:
        """The targets without their origin, as float32."""
        for block in self.spool.blocks():
            yield (block - origin).astype(np.float32)

    def seen(self, n_examples: int, names: Sequence[Label] | None) -> Evidence:
        """The evidence; ``names`` are the different ones, None if they are too many."""
        kinds = None if names is None else len(names)
        return Evidence(
            n_examples=n_examples,
            n_texts=self._n_texts,
            codes=self._codes,
            truths=0 < self._n_truths == n_examples,
            fractions=self._fractions,
            kinds=kinds,
            counted=kinds is not None and tuple(names or ()) in _ranges(kinds),
        )

    def _see(self, numbers: npt.NDArray[np.float64], rounded: npt.NDArray[np.float32]) -> None:
        """Take note of how much rounding changes, for :meth:`origin`."""
        finite = np.isfinite(rounded)
        if finite.any():
            exact = numbers[finite]
            away = rounded[finite] - exact
            self._lowered = min(self._lowered, float(away.min()))
            self._raised = max(self._raised, float(away.max()))
            self._statistics.add(exact[:, None])

    def _complain(self, row: int, value: Any, number: float) -> None:
        row += self._count
        if isinstance(value, str) and target_number(value) is None:
            self._complaint = f"targets must be numbers, row {row} holds {shown(str(value))}"
            return
        fits = "be finite" if not np.isfinite(number) else "fit float32 (at most 3.4e38)"
        self._complaint = f"targets must {fits}, row {row} holds {value!s}"

    def _read(self, values: Array) -> npt.NDArray[np.float64]:
        written = values.tolist()
        together = "\n".join(written)
        if together.isascii() and "_" not in together and not _CODE.search(together):
            with suppress(ValueError):  # it is one call for all, where all are plain numbers
                return values.astype(np.float64)
        numbers = {text: target_number(text) for text in set(written)}
        texts = {text for text, number in numbers.items() if number is None}
        truths = {text for text in numbers if truth(text) is not None}
        self._codes |= any(map(_CODE.fullmatch, numbers))
        if texts or truths:
            self._n_texts += sum(text in texts for text in written)
            self._n_truths += sum(text in truths for text in written)
        # None becomes NaN
        return np.array([numbers[text] for text in written], np.float64)


def _ranges(kinds: int) -> tuple[tuple[int, ...], ...]:
    return tuple(range(kinds)), tuple(range(1, kinds + 1))
