"""Targets as an option, other data or a model wants them."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.datasets.examples.schema import Label, Schema

CLASSIFICATION, REGRESSION = TASKS = ("classification", "regression")

_SHOWN = 5  # labels in a message


@dataclass(frozen=True)
class Wanted:
    """Facts about the targets that are known before they are seen.

    Attributes:
        task: one of ``TASKS``, or None: they say it themselves.
        classes: number of classes, called 0 to ``classes - 1``, by the user's option.
        positive: the one of two classes that is to be the second, by the user's option.
        schema: what they are in other data or in a model, which ``known_by`` names.
    """

    task: str | None = None
    classes: int | None = None
    positive: bool | int | float | str | None = None
    schema: Schema | None = None
    known_by: str = ""

    @property
    def kind(self) -> str | None:
        """The task, if it is known."""
        if self.schema is not None:
            return CLASSIFICATION if self.schema.n_classes else REGRESSION
        return CLASSIFICATION if self.classes is not None else self.task

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """Names of the classes, by their numbers, if they are known."""
        if self.schema is not None:
            return self.schema.names
        return None if self.classes is None else tuple(range(self.classes))

    def unknown(self, value: object, row: int) -> str:
        """The sentence about a label that is none of :attr:`labels`."""
        if self.classes is not None:
            return (
                f"labels of {self.classes} classes must be 0 to {self.classes - 1}, "
                f"row {row} holds {value!s}"
            )
        return (
            f"row {row} has the label {value!r}; the labels of {self.known_by} are "
            f"{listed(self.labels or ())}{self._without_period(str(value))}"
        )

    def _without_period(self, label: str) -> str:
        """What helps where the label is known without the period at its end, as in UCI's adult."""
        if not label.endswith(".") or label[:-1] not in map(str, self.labels or ()):
            return ""
        return (
            "; without the period at its end it is one of them: sed 's/\\.$//' FILE takes these "
            "away where the labels stand last, and --data - reads what comes through a pipe"
        )


def listed(names: tuple[Label, ...]) -> str:
    """Some names of classes, in a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more
