"""The minimiser that a run's settings ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from distbelief.app.errors import Diverged, NotFinite
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster import lbfgs, owlqn
from distbelief.coordinator.sandblaster.descent import DescentState, Minimiser, Settings
from distbelief.coordinator.sandblaster.owlqn import OrthantSpace


def minimiser(
    space: OrthantSpace, start: str | DescentState, config: RunConfig, loss_unit: float = 1.0
) -> Minimiser:
    """OWL-QN if there is an L1 term, else L-BFGS.

    The loss is in ``loss_unit``, the square of the spread of the targets, and weights are in that
    spread: the L1 term is to be as large beside the loss as it would be with raw targets.
    """
    settings = Settings(
        config.history, config.iterations, config.gradient_tolerance, config.decrease_tolerance
    )
    if config.l1:
        return owlqn.minimise(space, start, settings, config.l1 / math.sqrt(loss_unit))
    return lbfgs.minimise(space, start, settings)


def check_begun(reason: EndReason) -> EndReason:
    """Return why a minimisation ended; raises Diverged if it could not begin."""
    if reason is EndReason.DIVERGED:
        raise Diverged(
            "the loss or its gradient is not finite where the run begins: check the data's "
            "scale, or choose other initial values with --seed or --init-from"
        )
    return reason


@contextmanager
def wording_divergence() -> Iterator[None]:
    """Word the end of a minimisation whose vectors leave what their numbers can hold."""
    try:
        yield
    except NotFinite as error:
        raise Diverged(
            f"the minimisation ran away: {error}. Is the loss bounded from below? --l2 bounds it"
        ) from error
