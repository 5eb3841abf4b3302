"""What a model promises of its loss, gradient and predictions, tried once."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import LossModel, Task
from distbelief.coordinator.problem.trial import Trial, as_number, asked, loss_of, parts, short

#: A call that takes longer may have set up what later ones use, or waited for others' work: the
#: shortest of some counts.
LONG_S = 0.02
CALLS = 3


def check_promises(trial: Trial, parameters: Vector) -> float:
    """Check loss, gradient and predictions for what they are; the seconds that a gradient takes."""
    before, gradient = parameters.copy(), np.full_like(parameters, np.nan)
    began = time.monotonic()
    loss = loss_of(trial, parameters, gradient)
    seconds = time.monotonic() - began
    for _ in range(CALLS - 1) if LONG_S < seconds < 1 else ():
        began = time.monotonic()
        loss_of(trial, parameters, np.empty_like(parameters))
        seconds = min(seconds, time.monotonic() - began)
    if not math.isfinite(loss):
        raise ModelError(
            f"the loss of {trial.name} is {loss} for its first values and {len(trial.targets)} "
            "training examples: it must be a finite number. Check its formula, and the data's scale"
        )
    if not np.isfinite(gradient).all():
        _blame_buffer(trial, parameters, gradient)
    _check_predictions(trial, parameters)
    if not np.array_equal(parameters, before):
        raise ModelError(
            f"{trial.name} changes the parameters that it is given: it must only read them, "
            "and write its gradient to the array of that name"
        )
    return seconds


def _blame_buffer(trial: Trial, parameters: Vector, gradient: Vector) -> None:
    """Raise for a gradient that holds NaN or infinity: because it was not written, or so computed.

    The array held NaN before; now it is tried with zeros in it.
    """
    zeros = np.zeros_like(parameters)
    loss_of(trial, parameters, zeros)
    spoilt = ~np.isfinite(gradient)
    where = _tensors_of(trial, spoilt)
    if not np.isfinite(zeros).all():
        raise ModelError(
            f"the gradient of {trial.name} holds NaN or infinity in {where} for its first values: "
            "check its formula, and the data's scale"
        )
    if zeros[spoilt].any():
        raise ModelError(
            f"{trial.name} adds its gradient of {where} to what the array held before: it must "
            "overwrite it. Write 'weights[:] = ...', not 'weights += ...'"
        )
    raise ModelError(
        f"{trial.name} leaves its gradient of {where} unwritten: expected all "
        f"{gradient.size:,} numbers of the array 'gradient' to be overwritten, found "
        f"{int(spoilt.sum()):,} as they were. Write into the array or its views, "
        "'weights[:] = ...': 'weights = ...' only gives a name to another array"
    )


def _check_predictions(trial: Trial, parameters: Vector) -> None:
    found = asked(trial, "predict", trial.model.predict, parameters, trial.features)
    if isinstance(trial.model, LossModel):
        examples = trial.features, trial.targets
        as_number(trial, "loss", asked(trial, "loss", trial.model.loss, parameters, *examples))
    n, shape = len(trial.targets), getattr(found, "shape", None)
    expected = (n, trial.n_classes) if trial.model.task is Task.MULTICLASS else (n,)
    if shape != expected or not np.issubdtype(found.dtype, np.number):
        what = f"shape {shape} of {found.dtype}" if shape is not None else short(found)
        meaning = {
            Task.MULTICLASS: "a probability for each example and class",
            Task.BINARY: "the probability of class 1 for each example",
            Task.REGRESSION: "a value for each example",
        }[trial.model.task]
        raise ModelError(
            f"predict of {trial.name} must give numbers of shape {expected} for {n} examples, "
            f"{meaning}, got {what}"
        )


def _tensors_of(trial: Trial, chosen: npt.NDArray[np.bool_]) -> str:
    where = parts(trial.model.tensors)
    return ", ".join(f'"{name}"' for name, part in where if chosen[part].any())
