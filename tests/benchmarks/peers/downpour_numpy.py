"""One NumPy process alone: no transfer, no staleness, one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from peers.adagrad import adagrad
from peers.digits import Budget, Digits, Minibatches, Record


def train(digits: Digits, budget: Budget) -> dict[str, Any]:
    model, parameters = digits.model, digits.first.copy()
    squares = np.full_like(parameters, digits.first_squares)
    gradient, spare = np.empty_like(parameters), np.empty_like(parameters)
    batches, record, done = Minibatches(digits.x, digits.y, digits.batch, 0), Record(budget), 0
    while done < budget.minibatches:
        stop = budget.stop(done)
        while done < stop:
            model.loss_and_gradient(parameters, *batches.next(), gradient)
            adagrad(parameters, squares, gradient, spare, digits.rate, digits.epsilon)
            done += 1
        if budget.target is not None and record.judge(done, digits.accuracy(parameters)):
            break
    return record.answer(done)


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    digits = Digits.load(options)
    yield lambda request: train(digits, Budget.of(request))
