"""Whether a training has learned anything: its model beside one that always answers the same."""

from __future__ import annotations

import math

from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.coordinator.progress.digits import figure

#: A loss above this share of that of always the same answer is no better.
NO_BETTER = 0.999

#: What may help.
ADVICE = (
    "perhaps the columns say nothing about the targets; else try another learning_rate, or more "
    "passes or iterations"
)


def nothing_learned(score: Score, task: Task, *, heldout: bool) -> str:
    """A sentence on a model that is no better than always the same answer; else empty.

    ``score`` is judged as ``task``, on held-out examples or on some of the training. Of classes
    neither their probabilities are better nor, by more than chance, the answers: where one class is
    rare, the commonest may well be the best answer always. Chance is that of held-out examples,
    or of an untrained model, which on the training's may be right a little more often.
    """
    known = score.baseline
    if math.isnan(known):
        return ""
    if task is Task.REGRESSION:
        if score.rmse <= math.sqrt(NO_BETTER) * known:
            return ""
        always, ours, theirs = "the mean", f"rmse {figure(score.rmse)}", figure(known)
    else:
        least = score.constant_log_loss
        chance = math.sqrt(known * (1 - known) / score.n_examples) if heldout else (1 - known) / 4
        right = score.accuracy > known + chance
        if right or score.log_loss <= NO_BETTER * least or not least:
            return ""
        always = "the commonest class"
        ours = f"accuracy {figure(score.accuracy)}, log loss {figure(score.log_loss)}"
        theirs = f"{figure(known)} and {figure(least)}"
    examples = f"{score.n_examples:,} {'held-out' if heldout else 'training'} examples"
    return (
        f"the model has learned nothing, it is no better than always {always}: {ours} on "
        f"{examples}, beside {theirs}; {ADVICE}"
    )
