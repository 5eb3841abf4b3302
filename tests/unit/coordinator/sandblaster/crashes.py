"""What a coordinator leaves that dies in the middle of a minimisation."""

from __future__ import annotations

import json

from distbelief.coordinator.sandblaster.descent import DescentState, Evaluate, Iterated, Settings
from tests.unit.coordinator.sandblaster.problems import Array, Arrays, Problem, Solved, solve


def document(state: DescentState) -> DescentState:
    """What comes back from a server."""
    return DescentState.from_json(json.loads(json.dumps(state.to_json())))


Crash = tuple[DescentState, dict[str, Array], int]


def crashes(
    problem: Problem, settings: Settings, *, l1: float | None = None
) -> tuple[Solved, list[Crash]]:
    """A run, and after each of its steps what a coordinator that died there would leave.

    That is: the last committed state, all vectors, and the iterations committed so far.
    """
    space = Arrays(problem.start)
    left: list[Crash] = []
    committed: list[DescentState] = []

    def die() -> None:
        if committed:
            left.append((committed[-1], dict(space), len(committed)))

    def commit(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            committed.append(document(event.state))
        die()

    space.after = die
    return solve(problem.function, space, settings, on_event=commit, l1=l1), left
