"""What the chunks of a reader are for."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.datasets.examples.compatibility import Compatibility


@dataclass(frozen=True)
class Use:
    """What a reader is opened for.

    Attributes:
        labelled: whether there must be targets. Without, chunks have none, and those in the
            files are left out.
        known: what the data must be like; columns are taken by the names that it knows.
        passed: columns whose texts come along with the chunks, whatever else they are.
    """

    labelled: bool = True
    known: Compatibility | None = None
    passed: tuple[str, ...] = ()

    @property
    def by_name(self) -> bool:
        """Whether it is known by name what each column is."""
        return self.known is not None and bool(self.known.features)


TRAINING = Use()
