"""The base of readers of columns, each of which has a meaning of its own."""

from __future__ import annotations

import csv
import io
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Columns, Numbers
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.statistics import Statistics
from distbelief.app.datasets.reading.apart import HOLDOUT, given
from distbelief.app.datasets.reading.column_plan import ColumnPlan, Float64s
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.origins import origins
from distbelief.app.datasets.reading.reader import Medians, Reader
from distbelief.app.datasets.reading.values import MISSING, TOO_LARGE, UNFILLED, fault_of_number
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar


class TableReader(Reader):
    """Reads tables by a plan of their columns, which may turn out to be another one."""

    _plan: ColumnPlan

    @property
    def sparse(self) -> bool:
        return bool(self._plan.fields)

    @property
    def columns(self) -> Columns:
        return self._plan.columns

    @property
    def table(self) -> tuple[Column, ...]:
        return self._plan.table

    @property
    def reading_options(self) -> dict[str, Scalar]:
        return {**self._missing_options(), **self._plan.reading_options()}

    @property
    def apart(self) -> bool:
        return self._plan.apart is not None

    def refine(self, found: Numbers, statistics: Statistics) -> bool:
        if self._use.known is not None:
            return False
        plan = before = self._plan
        new = origins(plan, found, statistics)
        plan = plan.changed(new, origin=list(new.values()))
        if self._settings["indicator"]:
            marked = [i for i, n in zip(plan.dense, found.missing, strict=True) if n]
            plan = plan.changed(marked, indicator=[True] * len(marked))
        self._plan = plan
        return plan != before

    def complete(
        self, found: Numbers, statistics: Statistics, medians: Medians
    ) -> list[tuple[int, float]]:
        plan, missing = self._plan, self._settings["missing"]
        counts = [*found.missing.tolist(), *found.empty.tolist()]
        plan = plan.changed(plan.used, missing=counts)
        open_ = [place for place, i in enumerate(plan.dense) if plan.table[i].fill is None]
        if self._use.known is not None:
            open_ = []
        if open_ and missing != "error":
            stored = statistics.mean[open_] if missing == "mean" else medians(open_)
            which = [plan.dense[place] for place in open_]
            fills = [float(x) + plan.table[i].origin for x, i in zip(stored, which, strict=True)]
            plan = plan.changed(which, fill=fills)
        self._plan = plan
        gone = [place for place in open_ if found.missing[place]]
        return [(place, plan.fill(plan.dense[place])) for place in gone]

    def _check_fills(self, found: Numbers) -> None:
        plan = self._plan
        for i, n in zip(plan.dense, found.missing.tolist(), strict=True):
            if n and plan.table[i].fill is None:
                raise DataError(
                    f"{self._files[0].name}: {plan.name(i)}: numbers are missing, and nothing says "
                    "what stands for them: say it with the option missing=NUMBER"
                )

    def _fault_of_missing(self, column: int) -> str | None:
        """Why a number may not be missing in a column; None if it may."""
        if self._settings["missing"] == "error":
            return MISSING
        return fault_of_unfilled(self._plan, column) if self._use.known is not None else None

    @property
    def _apart_option(self) -> str:
        """The option that names the column apart, if there is one."""
        option = given(self._settings)
        return HOLDOUT if option is None else option[0]

    @cached_property
    def _notation(self) -> Notation:
        """What the options say of numbers."""
        return Notation(self._settings["na"])

    def _missing_options(self) -> dict[str, Scalar]:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(self._settings["na"])
        names = ("missing", "indicator")
        return {"na": text.getvalue(), **{name: self._settings[name] for name in names}}


def fault_of_unfilled(plan: ColumnPlan, column: int) -> str | None:
    """The fault of a missing number in a column that is known; None if something stands for it."""
    return UNFILLED if plan.table[column].fill is None else None


def faults_of_numbers(
    values: Float64s, gone: npt.NDArray[np.bool_], missing: str | None, notation: Notation
) -> list[tuple[int, str]]:
    """Numbers that cannot be used, and why; those that are missing, or gone, become NaN.

    ``missing`` is the fault of these, if it is one.
    """
    gone = gone | (np.isnan(values) & notation.nan_is_missing)
    if notation.missing_numbers:
        gone |= np.isin(values, notation.missing_numbers)
    bad = np.flatnonzero(~gone & ~(np.abs(values) < TOO_LARGE)).tolist()
    faults = [(i, str(fault_of_number(float(values[i])))) for i in bad]
    if missing is not None:
        faults += [(i, missing) for i in np.flatnonzero(gone).tolist()]
    values[gone] = np.nan
    return faults
