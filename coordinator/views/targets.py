"""What is said of the targets: their column, what they are taken for, which class is positive."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.targets.guess import TWICE, VERY_FEW
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION
from distbelief.app.settings.sections import Scalar


def target_lines(dataset: Dataset, options: Mapping[str, Scalar], asked: str = "") -> list[str]:
    """How the targets were found, a line for each thing and how to choose it.

    Args:
        dataset: the examples.
        options: of the data, as the user gave them.
        asked: who else said what the targets are, in words.
    """
    facts, schema = dataset.facts.target, dataset.schema
    choice, lines = facts.choice, list[str]()
    if choice.column:
        more = "" if "target" in options else " (the option target=NAME chooses another)"
        lines.append(f"target: {choice.column}, {choice.why}{more}")
    if choice.header is not None:
        opposite = "false" if choice.header else "true"
        given = "" if "header" in options else f" (the option header={opposite} says otherwise)"
        lines.append(f"header: {'found' if choice.header else 'none'}{given}")
    task = CLASSIFICATION if schema.n_classes else REGRESSION
    other = REGRESSION if schema.n_classes else CLASSIFICATION
    lines.append(f"task: {task}{_why(facts.guessed, other, options, asked)}")
    if schema.n_classes > VERY_FEW and dataset.n_examples < TWICE * schema.n_classes:
        lines.append(
            f"warning: {schema.n_classes:,} classes in {dataset.n_examples:,} examples leave "
            "hardly two of a class: for numbers there are linear, and mlp with the option "
            f"task={REGRESSION}; the option target=NAME chooses another column"
        )
    if schema.n_classes == 2:
        negative, positive = schema.names
        given = f"the option positive={shlex.quote(str(negative))} is the other"
        how = "as the option says" if "positive" in options else given
        lines.append(f"positive class: {positive} ({how})")
    return lines


def _why(guessed: str, other: str, options: Mapping[str, Scalar], asked: str) -> str:
    if guessed:
        return f", because the targets are {guessed} (the option task={other} says otherwise)"
    if asked:
        return f", {asked}"
    name = next((each for each in ("task", "classes") if each in options), "")
    return f", as the option {name} says" if name else ""
