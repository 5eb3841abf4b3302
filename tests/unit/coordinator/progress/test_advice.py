"""After a training it is said what to try next, by what happened in it."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.coordinator.progress.advice import Course, next_step
from distbelief.coordinator.progress.outcome import EndReason

KEPT_LAST = {"kept": 4, "evaluations": 4, "place": 8.0, "last": 8.0}


@pytest.mark.parametrize(
    ("reason", "facts", "said"),
    [
        (EndReason.PASSES, {"beaten": False}, "nothing was learned"),
        (
            EndReason.PASSES,
            {"kept": 3, "evaluations": 9, "place": 6.0, "last": 18.0},
            "no better after 6 passes, of 18: --patience 5 ends that",
        ),
        (EndReason.PASSES, KEPT_LAST | {"losses": (0.5, 0.4)}, "still fell when it ended: --pas"),
        (EndReason.TIME, KEPT_LAST | {"losses": (0.5, 0.4)}, "a longer --max-seconds"),
        (
            EndReason.PASSES,
            KEPT_LAST | {"losses": (0.4, 0.4), "training_loss": 0.1},
            "the held-out loss, 0.4, is far above that of the training, 0.1",
        ),
        (EndReason.PATIENCE, {"kept": 3, "evaluations": 9}, "another --seed"),
        (EndReason.PLATEAU, KEPT_LAST | {"losses": (0.5, 0.4)}, "another --seed"),
    ],
)
def test_the_next_step_follows_from_how_it_went(
    reason: EndReason, facts: dict[str, Any], said: str
) -> None:
    assert said in next_step(Course(reason, "passes", **facts))
