"""Metrics by which one of two models is better; whoever lists runs imports no more of models."""

from __future__ import annotations

import math
from enum import StrEnum


class Metric(StrEnum):
    """A held-out figure that may decide which model is best."""

    ACCURACY = "accuracy"
    AUC = "auc"
    LOG_LOSS = "log_loss"
    RMSE = "rmse"

    @property
    def lower_is_better(self) -> bool:
        return self in (Metric.LOG_LOSS, Metric.RMSE)


def better(metric: Metric, a: float, b: float) -> bool:
    """Tell whether value ``a`` beats value ``b``: all numbers beat NaN, NaN beats nothing."""
    if math.isnan(b):
        return not math.isnan(a)
    return a < b if metric.lower_is_better else a > b
