"""Which metrics fit which task."""

from __future__ import annotations

from collections.abc import Mapping

from distbelief.app.errors import ConfigError
from distbelief.app.models.metric import Metric
from distbelief.app.models.model import Task

#: The metrics that fit a task; the first is its default.
METRICS: Mapping[Task, tuple[Metric, ...]] = {
    Task.REGRESSION: (Metric.RMSE,),
    Task.BINARY: (Metric.ACCURACY, Metric.AUC, Metric.LOG_LOSS),
    Task.MULTICLASS: (Metric.ACCURACY, Metric.LOG_LOSS),
}


def judged_as(task: Task, n_classes: int) -> Task:
    """The task by which predictions are judged: two classes are two, whatever the outputs.

    A model with an output for each of two classes has an AUC, a threshold and a precision as
    one with a single output has, all of them about the second class.
    """
    return Task.BINARY if n_classes == 2 and task is Task.MULTICLASS else task


def metric_of(task: Task, name: str | None) -> Metric:
    """The metric of that name, or the task's default.

    Raises:
        ConfigError: it does not fit the task.
    """
    fitting = METRICS[task]
    if name is None:
        return fitting[0]
    if name not in fitting:
        allowed = " or ".join(fitting)
        raise ConfigError(f"metric = {name} does not fit a {task} model: use {allowed}")
    return Metric(name)
