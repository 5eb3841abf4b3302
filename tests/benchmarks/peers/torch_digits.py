"""The network of part (b) in torch, from the same first values, under the same rule."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from distbelief.app.layout.tensors import views
from peers.digits import Digits


def network(digits: Digits) -> nn.Module:
    model = digits.model
    found = nn.Sequential(
        nn.Linear(model.n_features, digits.hidden),
        nn.ReLU(),
        nn.Linear(digits.hidden, model.n_classes),
    )
    weights = views(digits.first, model.tensors)
    with torch.no_grad():
        for parameter, values in zip(found.parameters(), weights, strict=True):
            # torch keeps the weights of a layer as (outputs, inputs)
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values.T)))
    return found


def adagrad(digits: Digits, model: nn.Module) -> torch.optim.Adagrad:
    return torch.optim.Adagrad(
        model.parameters(),
        lr=digits.rate,
        initial_accumulator_value=digits.first_squares,
        eps=digits.epsilon,
    )


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: object, y: object) -> None:
    """One minibatch of NumPy arrays."""
    optimizer.zero_grad()
    outputs = model(torch.as_tensor(x))
    nn.functional.cross_entropy(outputs, torch.as_tensor(y)).backward()
    optimizer.step()


def accuracy(digits: Digits, model: nn.Module) -> float:
    with torch.no_grad():
        found = model(torch.from_numpy(digits.x_heldout)).argmax(1).numpy()
    return float(np.mean(found == digits.y_heldout))
