"""scikit-learn's LogisticRegression with lbfgs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from warnings import catch_warnings, simplefilter

from scipy import optimize
from sklearn.linear_model import LogisticRegression

from peers.descent import L2, ObjectiveTrace, loaded


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    x, y = loaded(options)
    minimize = optimize.minimize

    def work(request: dict[str, Any]) -> dict[str, Any]:
        model = LogisticRegression(
            C=1 / (L2 * len(y)), solver="lbfgs", tol=1e-12, max_iter=request["iterations"]
        )
        trace = ObjectiveTrace()

        def told(*arguments: Any, callback: Any = None, **named: Any) -> Any:
            """scikit-learn tells nobody how far it is: SciPy, which it calls, does."""

            def both(intermediate_result: Any) -> None:
                trace.reached(intermediate_result.fun)
                if callback is not None:
                    callback(intermediate_result)

            return minimize(*arguments, **named, callback=both)

        with mock.patch.object(optimize, "minimize", told), catch_warnings():
            simplefilter("ignore")  # it has not converged yet: that is meant
            model.fit(x, y)
        return trace.answer(int(model.n_iter_[0]))

    yield work
