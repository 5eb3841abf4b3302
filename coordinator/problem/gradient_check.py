"""Whether a model of a user's own does what it promises, tried on a few examples before it trains.

Mistakes that would train, save and end well are found here: a gradient with the wrong sign or
that is not written, no loss, predictions of another shape. The gradient is compared with central
differences of the loss along some directions, in float64, at the first values moved by a little.

Kinks (ReLU, max pooling) do no harm: the steps are so short that few of them are crossed.
Numbers whose gradient is exactly zero are left where they are: parameters that are frozen, or
rows that no example touches. A loss that differs from call to call cannot be judged, nor can a
model that says of itself ``approximate_gradient = True`` (straight-through estimators, reversed
gradients).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import cast

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.problem.promises import check_promises
from distbelief.coordinator.problem.trial import Trial, loss_of, parts

#: Seconds after which no further direction is tried, and of one gradient beyond which none is.
BUDGET_S = 0.2
LONGEST_CALL_S = 0.1

#: Numbers of a model beyond which nothing is compared with differences, or tried at all.
MOST_COMPARED, MOST_TRIED = 2_000_000, 50_000_000

#: Steps as shares of the size of the parameters: the shortest for exactness, the others for
#: models that compute in float32 whatever they are given. One that agrees is enough.
STEPS = (1e-6, 1e-4, 1e-2)

#: How far differences and gradient may be from one another, as a share of the larger.
TOLERANCE = 0.05

#: Tensors with less than this share of the gradient are not compared on their own.
NEGLIGIBLE = 1e-3

#: A loss that differs by more than this share between two calls is not a function.
NOISE = 1e-9


def check_model(trial: Trial, dtype: np.dtype[np.floating]) -> str:
    """Try a model, computing in ``dtype`` as training will, and compare its gradient.

    Returns:
        What could not be judged and why, empty if all was.

    Raises:
        ModelError: with what was expected, what was found, and how to mend it.
    """
    began = time.monotonic()
    if trial.parameters.size > MOST_TRIED:
        return _skipped(trial, f"{trial.parameters.size:,} parameters are too many")
    on_cpu = getattr(trial.model, "on_cpu", nullcontext)
    with on_cpu(), np.errstate(all="ignore"):
        call_s = check_promises(trial, trial.parameters.astype(dtype))
        if getattr(trial.model, "approximate_gradient", False):
            return _skipped(trial, "it says that it is approximate")
        if trial.parameters.size > MOST_COMPARED:
            return _skipped(trial, f"{trial.parameters.size:,} parameters are too many")
        if call_s > LONGEST_CALL_S:
            return _skipped(trial, f"one for {len(trial.targets)} examples takes {call_s:.2g} s")
        return _check_slopes(trial, began + BUDGET_S)


def _skipped(trial: Trial, why: str) -> str:
    return f"the gradient of {trial.name} was not compared with differences of its loss: {why}"


def _check_slopes(trial: Trial, deadline: float) -> str:
    """Compare slopes of the loss with those that the gradient tells; in float64."""
    parameters = _moved(trial)
    gradient, scratch = np.full_like(parameters, np.nan), np.empty_like(parameters)
    try:
        loss = loss_of(trial, parameters, gradient)
        again = loss_of(trial, parameters, scratch)
    except ModelError as error:
        return _skipped(trial, f"it cannot compute in float64 ({error})")
    if not (math.isfinite(loss) and np.isfinite(gradient).all()):
        return _skipped(trial, "near its first values it is not finite")
    if abs(again - loss) > NOISE * max(abs(loss), 1.0):
        return _skipped(trial, "its loss differs from call to call")
    scale = max(float(np.sqrt(np.mean(np.square(parameters)))), 1e-2)
    for number, (where, direction) in enumerate(_directions(trial, gradient)):
        if number and time.monotonic() > deadline:
            break
        told, size = float(gradient @ direction), float(np.linalg.norm(gradient * direction))
        slopes = []
        for step in STEPS:
            move = (step * scale) * direction
            ahead = loss_of(trial, parameters + move, scratch)
            behind = loss_of(trial, parameters - move, scratch)
            slopes.append((ahead - behind) / (2 * step * scale))
            if _agree(slopes[-1], told, size, loss):
                break
        else:
            raise ModelError(_wrong(trial, where, slopes[0], told))
    return ""


def _agree(slope: float, told: float, size: float, loss: float) -> bool:
    """Whether the slope is what the gradient tells; rounding leaves a rest in tiny ones."""
    return abs(slope - told) <= TOLERANCE * max(abs(slope), size) + 1e-7 * max(abs(loss), 1.0)


def _directions(trial: Trial, gradient: Vector) -> Iterator[tuple[str, Vector]]:
    """Directions, none of whose numbers is beyond 1: along the gradient, and at random.

    Of all tensors together first, then of each.
    """
    rng, every = np.random.default_rng(0), np.ones(gradient.size, bool)
    if trial.n_fixed:
        every[-trial.n_fixed :] = False
    active = every & (gradient != 0)
    if not active.any():  # an all too flat loss, or a gradient that nobody computed
        yield "all parameters", np.where(every, rng.uniform(-1, 1, gradient.size), 0.0)
        return
    yield "all parameters", _along(gradient, active)
    yield "all parameters", _random(rng, active)
    total = float(np.linalg.norm(gradient[active]))
    for name, part in parts(trial.model.tensors):
        mine = np.zeros_like(active)
        mine[part] = active[part]
        if np.linalg.norm(gradient[mine]) > NEGLIGIBLE * total:
            yield f'tensor "{name}"', _along(gradient, mine)
            yield f'tensor "{name}"', _random(rng, mine)


def _along(gradient: Vector, active: npt.NDArray[np.bool_]) -> Vector:
    direction = np.where(active, gradient, 0.0)
    return cast("Vector", direction / np.abs(direction).max())


def _random(rng: np.random.Generator, active: npt.NDArray[np.bool_]) -> Vector:
    return np.where(active, rng.uniform(-1, 1, active.size), 0.0)


def _moved(trial: Trial) -> Vector:
    """The first values, moved a little: at zero there are kinks, and gradients vanish."""
    moved = trial.parameters.astype(np.float64)
    trained = moved[: moved.size - trial.n_fixed]
    noise = np.random.default_rng(1).normal(0, 0.01, trained.size)
    trained += noise * np.where(trained == 0, 1.0, np.abs(trained))
    return moved


def _wrong(trial: Trial, where: str, slope: float, told: float) -> str:
    n, ratio = len(trial.targets), told / slope if slope else math.inf
    if math.isclose(ratio, -1, rel_tol=TOLERANCE):
        hint = "its sign is wrong: 'gradient' is where the loss grows, the servers go against it"
    elif math.isclose(ratio, n, rel_tol=TOLERANCE) or math.isclose(ratio, 1 / n, rel_tol=TOLERANCE):
        hint = f"one is the sum and the other the mean of {n} examples: both must be the mean"
    else:
        hint = "derive it again, and see that it is of the loss that is returned"
    return (
        f"the gradient of {trial.name} is not that of its loss: along {where} differences of the "
        f"loss tell a slope of {slope:.4g} (expected), the gradient {told:.4g} (found). {hint}. If "
        "it is meant to differ, give the model an attribute approximate_gradient = True"
    )
