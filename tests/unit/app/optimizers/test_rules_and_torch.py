"""The update rules against torch.optim, in float64, step for step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distbelief.app.optimizers.rule import Float64, Rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.adam import Adam
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.rmsprop import RMSProp
from distbelief.app.optimizers.rules.sgd import SGD

torch: Any = pytest.importorskip("torch")

STEPS, SIZE = 300, 40
OPTIM = torch.optim

PAIRS: dict[str, tuple[Rule, Callable[[Any], Any]]] = {
    "SGD": (SGD(0.05), lambda w: OPTIM.SGD(w, lr=0.05)),
    "SGD with momentum": (
        Momentum(0.05, momentum=0.8),
        lambda w: OPTIM.SGD(w, lr=0.05, momentum=0.8),
    ),
    "Adagrad": (
        Adagrad(0.05, initial_accumulator=0.1),
        lambda w: OPTIM.Adagrad(w, lr=0.05, initial_accumulator_value=0.1),
    ),
    "Adagrad with decay": (
        Adagrad(0.05, decay=0.01, initial_accumulator=0.1),
        lambda w: OPTIM.Adagrad(w, lr=0.05, lr_decay=0.01, initial_accumulator_value=0.1),
    ),
    "RMSprop": (RMSProp(0.01), lambda w: OPTIM.RMSprop(w, lr=0.01)),
    "RMSprop with another mean": (
        RMSProp(0.01, smoothing=0.7, epsilon=1e-3),
        lambda w: OPTIM.RMSprop(w, lr=0.01, alpha=0.7, eps=1e-3),
    ),
    "Adam": (Adam(0.01), lambda w: OPTIM.Adam(w, lr=0.01)),
    "Adam with other means": (
        Adam(0.01, beta1=0.5, beta2=0.9, epsilon=1e-3),
        lambda w: OPTIM.Adam(w, lr=0.01, betas=(0.5, 0.9), eps=1e-3),
    ),
    "AdamW": (
        Adam(0.01, weight_decay=0.3),
        lambda w: OPTIM.AdamW(w, lr=0.01, weight_decay=0.3),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_takes_the_steps_that_torch_takes(name: str) -> None:
    """With torch's own defaults where nothing else is said, so that ours are the same."""
    rule, optimizer = PAIRS[name]
    random = np.random.default_rng(3)
    start = random.normal(size=SIZE)
    gradients = random.normal(size=(STEPS, SIZE)) * random.lognormal(0, 3, size=SIZE)
    weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    theirs = optimizer([weights])
    ours: tuple[Float64, ...] = (start, *rule.initial_slots(start).values())
    for clock, gradient in enumerate(gradients):
        weights.grad = torch.tensor(gradient)
        theirs.step()
        ours = rule.step(gradient, ours, clock)
        np.testing.assert_allclose(ours[0], weights.detach().numpy(), rtol=1e-11, atol=1e-12)
