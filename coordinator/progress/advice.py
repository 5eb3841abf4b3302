"""What to try next, by the course of a training that has ended."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.coordinator.progress.outcome import WORSE_FOR, EndReason

#: A loss that fell by less between the last two evaluations is at its end.
STILL = 0.01

#: A held-out loss that is so many times the training's is that of a model that knows by heart.
BY_HEART = 2.0


@dataclass(frozen=True)
class Course:
    """A training in hindsight; what is not known is None.

    ``kept`` of ``evaluations`` is that of the saved model, after ``place`` of ``last`` in the
    ``unit`` of the algorithm. ``losses`` are held-out, of the last evaluations; ``training_loss``
    is at the end, ``allowed`` how many passes or iterations there could be. ``beaten`` tells
    whether the model is better than none at all.
    """

    reason: str
    unit: str
    kept: int = 0
    evaluations: int = 0
    place: float = 0.0
    last: float = 0.0
    losses: tuple[float, ...] = ()
    training_loss: float | None = None
    allowed: float = 0.0
    beaten: bool | None = None

    @property
    def in_vain(self) -> bool:
        """Whether nothing came of the last evaluations."""
        return bool(self.kept) and self.evaluations - self.kept >= WORSE_FOR

    @property
    def falls(self) -> bool:
        """Whether the last evaluation is that of the saved model, and its loss clearly lower."""
        if self.kept != self.evaluations or len(self.losses) < 2:
            return False
        return self.losses[-1] < (1 - STILL) * self.losses[-2]


def next_step(course: Course) -> str:
    """The first thing to try, with its flag."""
    if course.beaten is False:
        return (
            "nothing was learned: see whether target and columns are what you mean (the command "
            "data shows them), then another --learning-rate"
        )
    if course.in_vain and course.reason != EndReason.PATIENCE:
        return (
            f"no better after {course.place:.3g} {course.unit}, of {course.last:.3g}: "
            f"--patience {WORSE_FOR} ends that"
        )
    if course.falls and (flag := _longer(course)):
        return f"the held-out loss still fell when it ended: {flag}"
    if _by_heart(course):
        return (
            f"the held-out loss, {course.losses[-1]:.3g}, is far above that of the training, "
            f"{course.training_loss:.3g}: more data, a larger --l2, or a smaller model"
        )
    return "another --seed tells how much of the score is chance; the command compare tries rates"


def after_divergence(learning_rate: float) -> str:
    """What to try when a training by gradient steps left what numbers can hold."""
    return f"--learning-rate {learning_rate / 10:g}, a tenth of this one's"


def _longer(course: Course) -> str:
    twice = max(2, round(2 * (course.allowed or course.last)))
    return {
        EndReason.PASSES.value: f"--passes {twice}",
        EndReason.ITERATIONS.value: f"--iterations {twice}",
        EndReason.TIME.value: "a longer --max-seconds",
    }.get(course.reason, "")


def _by_heart(course: Course) -> bool:
    trained = course.training_loss
    return (
        trained is not None
        and trained > 0
        and bool(course.losses)
        and course.losses[-1] > BY_HEART * trained
    )
