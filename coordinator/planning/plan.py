"""A plan: a calibration, the fleets that were simulated by it, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibration import Calibration, SeenRate
from distbelief.coordinator.planning.choice import FleetChoice, choose
from distbelief.coordinator.planning.forecast import Forecaster
from distbelief.coordinator.planning.rows import Alone, FleetRow
from distbelief.coordinator.planning.words import (
    alone_sentence,
    assumption_sentences,
    check_sentences,
    choice_sentence,
    saturation_sentence,
)


@dataclass(frozen=True)
class FleetPlan:
    """Everything that a plan says. ``checks`` are what was seen, and what is predicted of it."""

    calibration: Calibration
    assumptions: Assumptions
    seed: int
    alone: tuple[Alone, ...]
    here: tuple[FleetRow, ...]
    rows: tuple[FleetRow, ...]
    checks: tuple[tuple[SeenRate, float], ...]
    choice: FleetChoice | None

    def of(self, algorithm: str) -> list[FleetRow]:
        """The fleets of an algorithm."""
        return [row for row in self.rows if row.algorithm == algorithm]

    @property
    def algorithms(self) -> list[str]:
        return [each.algorithm for each in self.alone]

    def sentences(self) -> list[str]:
        """The plan in words: what to do first, then why."""
        found = [] if self.choice is None else [choice_sentence(self.choice)]
        for alone in self.alone:
            found.append(alone_sentence(alone, [*self.of(alone.algorithm), *self._here(alone)]))
        found += [saturation_sentence(self.of(name)) for name in self.algorithms]
        return found

    def notes(self) -> list[str]:
        """Where it was measured, what was taken for granted, and how the model was checked."""
        said = assumption_sentences(self.calibration, self.assumptions)
        return [*said, *check_sentences(self.checks, self.calibration.machines)]

    def to_json(self) -> dict[str, Any]:
        return {
            "calibration": self.calibration.to_json(),
            "seed": self.seed,
            "sentences": self.sentences(),
            "notes": self.notes(),
            "one_process": [asdict(each) for each in self.alone],
            "this_machine": [asdict(each) for each in self.here],
            "fleets": [asdict(each) for each in self.rows],
            "checks": [
                {
                    "algorithm": seen.algorithm,
                    "processes": seen.replicas,
                    "measured": seen.measured,
                    "predicted": predicted,
                    "fitted": seen.fitted,
                }
                for seen, predicted in self.checks
            ],
            "cheapest": None
            if self.choice is None or self.choice.row is None
            else asdict(self.choice.row),
        }

    def _here(self, alone: Alone) -> list[FleetRow]:
        return [row for row in self.here if row.algorithm == alone.algorithm]


def make_plan(
    calibration: Calibration,
    assumptions: Assumptions,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> FleetPlan:
    """Simulate what the assumptions ask for; the same seed gives the same plan."""
    forecaster = Forecaster(calibration, assumptions, seed)
    names = forecaster.algorithms
    alone = tuple(forecaster.alone(name) for name in names)
    here = tuple(row for name in names for row in forecaster.here(name))
    rows = tuple(row for name in names for row in forecaster.grid(name, say))
    wanted = assumptions.wanted
    return FleetPlan(
        calibration=calibration,
        assumptions=assumptions,
        seed=seed,
        alone=alone,
        here=here,
        rows=rows,
        checks=tuple(checked(forecaster)),
        choice=None if wanted is None else choose(forecaster, alone, [*here, *rows], wanted),
    )


def checked(forecaster: Forecaster) -> list[tuple[SeenRate, float]]:
    """What the calibration saw beside what the simulation says of the same."""
    return [(seen, forecaster.as_calibrated(seen)) for seen in forecaster.calibration.checks]
