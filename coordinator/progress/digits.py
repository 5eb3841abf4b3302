"""A score in digits, and what metrics are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TITLES = {"auc": "AUC", "log_loss": "log loss", "r2": "R2"}
HISTOGRAM = "AUC (histogram)"

#: Where a training ended before its first held-out evaluation, or has no held-out examples.
NEVER_SCORED = "the saved model was not scored: it has the last parameters"


def figure(value: float) -> str:
    """A score in four digits or decimals, whichever says more; never one that looks like 0."""
    if value == 0 or 0.1 <= abs(value) < 10:
        return f"{value:.4f}"
    return known(value, ".0f" if 1e4 <= abs(value) < 1e15 else ".4g")


def known(value: float, form: str) -> str:
    """A number in that form; of one that nobody knows, a dash."""
    return "-" if math.isnan(value) else format(value, form)


def brief(document: Mapping[str, Any]) -> str:
    """The figures that a run noted of a model, in words."""
    titles = TITLES if document.get("auc_exact", True) else TITLES | {"auc": HISTOGRAM}
    names = ("rmse", "accuracy", "loss", "auc", "log_loss", "precision", "recall", "r2")
    found = [(name, document[name]) for name in names if name in document]
    return ", ".join(
        f"{titles.get(name, name)} {'-' if value is None else figure(value)}"
        for name, value in found
    )
