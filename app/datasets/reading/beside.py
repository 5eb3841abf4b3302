"""What comes along with the rows of a text table: weights, a column apart, and some as they are."""

from __future__ import annotations

from collections.abc import Sequence

from distbelief.app.datasets.reading.apart import apart_values, fault_of_apart
from distbelief.app.datasets.reading.cells import Cells
from distbelief.app.datasets.reading.column_plan import Beside, ColumnPlan
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.weights import fault_of_weight_text, usable


def read_beside(cells: Cells, plan: ColumnPlan, apart_option: str) -> Beside:
    """What comes along with some rows; ValueError if anything is wrong with one."""
    passed = tuple([text.decode() for text in cells.texts(i)] for i in plan.passed)
    apart = weights = None
    if plan.apart is not None:
        said = (text.decode() for text in cells.texts(plan.apart))
        apart = apart_values(said, apart_option)
    if plan.weight is not None:
        weights = cells.numbers([plan.weight], exact=True)[:, 0]
        if not usable(weights).all():
            raise ValueError("a weight is missing or unusable")
    return Beside((), passed, apart, weights)


def fault_of_beside(
    row: Sequence[str], plan: ColumnPlan, apart_option: str, notation: Notation
) -> str | None:
    """Why a row cannot be used; None if nothing is wrong with what comes along."""
    if plan.apart is not None and (fault := fault_of_apart(row[plan.apart], apart_option)):
        return f"{plan.name(plan.apart)}: {fault}"
    if plan.weight is not None and (fault := fault_of_weight_text(row[plan.weight], notation)):
        return f"{plan.name(plan.weight)}: {fault}"
    return None
