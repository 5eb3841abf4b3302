"""Scores of the models of a problem: which is better, and all figures in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distbelief.app.datasets.examples.schema import Label, Schema
from distbelief.app.models.criterion import METRICS, judged_as, metric_of
from distbelief.app.models.metric import Metric, better
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.progress.digits import HISTOGRAM, TITLES, figure, known

#: Larger confusion matrices are not printed.
MOST_PRINTED = 10


@dataclass(frozen=True)
class ScoreFormatter:
    """Reads and tells a held-out score; its ``metric`` decides which model is best.

    ``task`` is what predictions are judged by. ``names`` are what the classes are called; of two
    the second is the positive one, which is the answer where its probability is above
    ``threshold``.
    """

    task: Task
    metric: Metric
    names: tuple[Label, ...] = ()
    threshold: float = 0.5

    @classmethod
    def of(
        cls, task: Task, settings: ModelSettings, schema: Schema, metric: str | None = None
    ) -> ScoreFormatter:
        """Raises ConfigError if the metric does not fit the task of the model."""
        task = judged_as(task, schema.n_classes)
        return cls(task, metric_of(task, metric), schema.names, settings.threshold)

    def text(self, score: Score) -> str:
        """The figures to follow a training by."""
        shown = [self.metric.value, "loss"]
        if self.task is Task.BINARY and self.metric is not Metric.AUC:
            shown.append(Metric.AUC)
        found = score.measures(self.task)
        shown += ["r2"] if "r2" in found else []
        return ", ".join(self._figure(name, found[name], score) for name in shown) + self._lacks(
            score
        )

    def rest(self, score: Score) -> str:
        """The figures that fit the task and are not in :meth:`text`; may be empty."""
        first = {self.metric.value, "loss", Metric.AUC.value, "r2"}
        if math.isclose(score.loss, score.log_loss, rel_tol=1e-4):  # said already
            first.add(Metric.LOG_LOSS.value)
        found = score.measures(self.task).items()
        parts = [self._figure(name, value, score) for name, value in found if name not in first]
        threshold = f" at threshold {self.threshold:g}" if self.task is Task.BINARY else ""
        return ", ".join(parts) + threshold if parts else ""

    def lines(self, score: Score) -> list[str]:
        """All figures, a line each, with six digits."""
        found = score.measures(self.task).items()
        lines = [f"{self._title(name, score)} {known(value, '.6g')}" for name, value in found]
        if self.task is Task.BINARY:
            lines += [f"threshold {self.threshold:g}", f"positive class {self.names[1]}"]
        return [*lines, *self.baseline(score)]

    def baseline(self, score: Score) -> list[str]:
        """A line on what is right without a model, if it is known."""
        known = score.baseline
        if math.isnan(known):
            return []
        always = "mean" if self.task is Task.REGRESSION else "commonest class"
        name = METRICS[self.task][0].value
        said = f"always the {always}: {name} {figure(known)}"
        return [said if self.beaten(score) else f"no better than {said}"]

    def beaten(self, score: Score) -> bool | None:
        """Whether the model is better than always the commonest class, or the mean."""
        known = score.baseline
        if math.isnan(known):
            return None
        metric = METRICS[self.task][0]
        return better(metric, score.metric(metric), known)

    def confusion(self, score: Score) -> list[str]:
        """The confusion matrix as an aligned table, if it is there and small."""
        if not score.confusion or len(score.confusion) > MOST_PRINTED:
            return []
        names = [str(name) for name in self.names]
        unanswered = any(row[-1] for row in score.confusion)
        head = ["", *names, "none"] if unanswered else ["", *names]
        rows = zip(names, score.confusion, strict=True)
        table = [head, *([name, *map(_count, row)][: len(head)] for name, row in rows)]
        return ["confusion (rows: true class, columns: predicted):", *_aligned(table)]

    def measures(self, score: Score) -> dict[str, Any]:
        """All figures by name; None for those that are unknown or infinite."""
        found = score.measures(self.task).items()
        document: dict[str, Any] = {
            name: value if math.isfinite(value) else None for name, value in found
        }
        if self.task is Task.BINARY:
            document |= {"auc_exact": score.auc_exact, "threshold": self.threshold}
            document |= {"positive": self.names[1]}
        return document

    def document(self, score: Score) -> dict[str, Any]:
        """All figures, what is right without a model, and the confusion matrix with its classes.

        Its last column counts examples whose prediction was NaN.
        """
        document = {
            "examples": score.n_examples,
            "metric": self.metric.value,
            **self.measures(score),
        }
        if not math.isnan(score.baseline):
            document["baseline"] = score.baseline
        if score.confusion:
            document |= {"classes": self.names, "confusion": score.confusion}
        return document

    def _lacks(self, score: Score) -> str:
        """What is said where all examples are of one class, which have no AUC."""
        if not score.confusion or sum(map(any, score.confusion)) > 1:
            return ""
        decides = ": the loss decides" if self.metric is Metric.AUC else ""
        return f" (one class only{decides})"

    def _figure(self, name: str, value: float, score: Score) -> str:
        text = known(value, ".4g") if name == "loss" else figure(value)
        return f"{self._title(name, score)} {text}"

    def _title(self, name: str, score: Score) -> str:
        counted = name == Metric.AUC and not score.auc_exact
        return HISTOGRAM if counted else TITLES.get(name, name)


def _count(value: float) -> str:
    """A number of examples, or the sum of their weights."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.2g}" if 0 < value < 1 else f"{value:.1f}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(["", *(cell.rjust(width) for cell, width in zip(row, widths, strict=True))])
        for row in table
    ]
