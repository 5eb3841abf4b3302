"""A score in digits, and what metrics are called."""

from __future__ import annotations

import math

TITLES = {"auc": "AUC", "log_loss": "log loss", "r2": "R2"}


def figure(value: float) -> str:
    """A score in four digits or decimals, whichever says more; never one that looks like 0."""
    if value == 0 or 0.1 <= abs(value) < 10:
        return f"{value:.4f}"
    return known(value, ".0f" if 1e4 <= abs(value) < 1e15 else ".4g")


def known(value: float, form: str) -> str:
    """A number in that form; of one that nobody knows, a dash."""
    return "-" if math.isnan(value) else format(value, form)
