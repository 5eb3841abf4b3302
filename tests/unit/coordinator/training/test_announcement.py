"""What is said before a training begins."""

from __future__ import annotations

from typing import Any

from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.training.announcement import few_rounds


def said(**settings: Any) -> list[str]:
    """Of digits: 1,437 for the training, with 8 replicas 6 minibatches a pass of each."""
    problem = prepare(RunConfig(**{"model": "softmax", "passes": 40} | settings), 1)
    return few_rounds(problem.with_interval(1))


def test_rounds_that_are_few_for_a_mean_over_so_many_are_told_with_what_makes_more() -> None:
    (line,) = said(replicas=8, round_steps=64)
    assert line == (
        "4 rounds of each replica are few for 8 replicas, and cost quality: round_steps = 7 makes "
        "32 of them"
    )
    assert not said(replicas=8, round_steps=7)
    assert not said(replicas=2, round_steps=64)
    assert not said(replicas=8)
    assert not said(replicas=1, round_steps=64, passes=1)
    assert not said(replicas=8, round_steps=64, algorithm="sandblaster")
