"""What targets are when nobody says it: labels of classes, or numbers. Or it has to be asked."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.datasets.examples.checks import FEW_KINDS, NEARLY_ALL
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION

#: Whole numbers of more kinds are no labels if hardly any of them comes twice.
VERY_FEW, TWICE = 10, 2

#: More whole numbers are numbers where they come less often than that, on average.
OFTEN = 10

#: How to say what they are.
ADVICE = "say what they are: the option task=classification or the option task=regression"


@dataclass(frozen=True)
class Evidence:
    """What was seen of some targets.

    Attributes:
        n_examples: how many there are.
        n_texts: those that are no numbers.
        codes: whether some have zeros in front, as postal codes and the like.
        truths: whether all are truth values.
        fractions: whether one is no whole number.
        kinds: different ones; None if they are too many to be labels.
        counted: whether they are 0, 1, 2, ... or 1, 2, 3, ...
    """

    n_examples: int
    n_texts: int = 0
    codes: bool = False
    truths: bool = False
    fractions: bool = False
    kinds: int | None = None
    counted: bool = False

    @property
    def texts(self) -> bool:
        """Whether they are more than a few mistakes among numbers."""
        return self.n_texts > 0 and not self.nearly_numbers

    @property
    def hardly_twice(self) -> bool:
        """Whether there are about as many kinds as examples."""
        return self.n_examples < TWICE * (self.kinds or 0)

    @property
    def nearly_numbers(self) -> bool:
        """Whether they are numbers but for a few texts, which then are mistakes."""
        n_numbers = self.n_examples - self.n_texts
        return self.n_texts > 0 and not self.codes and n_numbers >= NEARLY_ALL * self.n_examples


def guess(seen: Evidence) -> tuple[str | None, str]:
    """The task, None if it has to be asked; and what the targets are, in words."""
    if seen.truths:
        return CLASSIFICATION, "true or false"
    if seen.codes:
        return CLASSIFICATION, "codes, some with zeros in front"
    if seen.n_texts:
        return CLASSIFICATION, "text"
    if seen.fractions:
        return REGRESSION, "numbers with fractions"
    return _guess_whole(seen)


def _guess_whole(seen: Evidence) -> tuple[str | None, str]:
    if seen.kinds is None:
        return REGRESSION, "very many different whole numbers"
    kinds, n_examples = seen.kinds, seen.n_examples
    what = f"{kinds:,} different whole numbers in {n_examples:,} examples"
    if kinds <= FEW_KINDS:
        prices = kinds > VERY_FEW and seen.hardly_twice
        return REGRESSION if prices else CLASSIFICATION, what
    return REGRESSION if n_examples < OFTEN * kinds and not seen.counted else None, what
