"""SciPy's L-BFGS-B on our model's gradient, in one process on all examples at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import optimize

from distbelief.app.layout.layout import Layout
from distbelief.app.models.linear import SoftmaxRegression
from peers.descent import CLASSES, HISTORY, L2, Numbers, ObjectiveTrace, data

#: Within 1e-12 of the least objective there is.
FINEST = {"ftol": 1e-15, "gtol": 1e-9, "maxls": 50}


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    x_file, y_file = data(options)
    x, y = np.load(x_file).astype(np.float64), np.load(y_file)
    model = SoftmaxRegression(x.shape[1], CLASSES)
    layout = Layout.plan(model.tensors, n_servers=1)
    penalty = layout.penalty_mask() * L2

    def objective(parameters: Numbers) -> tuple[float, Numbers]:
        gradient = np.empty_like(parameters)
        loss = model.loss_and_gradient(parameters, x, y, gradient)
        gradient += penalty * parameters
        return loss + 0.5 * float(penalty @ np.square(parameters)), gradient

    def work(request: dict[str, Any]) -> dict[str, Any]:
        trace = ObjectiveTrace()
        if request["kind"] == "gradient":
            objective(np.zeros(layout.size))
            return trace.answer(1)
        found = optimize.minimize(
            objective,
            np.zeros(layout.size),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: trace.reached(intermediate_result.fun),
            options={"maxcor": HISTORY, "maxiter": request["iterations"], **FINEST},
        )
        return trace.answer(int(found.nit))

    yield work
