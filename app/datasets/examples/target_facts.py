"""Which column the targets are, and why they are what they are taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TargetChoice:
    """The choice of a column.

    Attributes:
        column: as messages call it; empty where a format has no choice.
        why: in words.
        header: whether names of columns were found in front; None where no format has any.
    """

    column: str = ""
    why: str = ""
    header: bool | None = None


@dataclass(frozen=True)
class TargetFacts:
    """All that is known of how targets were found.

    Attributes:
        choice: of their column.
        guessed: what they are, in words, from which it was guessed whether they are labels or
            numbers; empty where somebody said it.
    """

    choice: TargetChoice = field(default_factory=TargetChoice)
    guessed: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TargetFacts:
        return cls(TargetChoice(**document["choice"]), document["guessed"])
