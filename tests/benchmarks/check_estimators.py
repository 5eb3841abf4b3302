"""All checks that scikit-learn has for estimators, on each of ours: a minute or two.

``python tests/benchmarks/check_estimators.py [NAME ...]`` prints what failed, and the seconds.
"""

from __future__ import annotations

import sys
import time
import warnings

from sklearn.utils.estimator_checks import check_estimator

from distbelief import (
    DownpourClassifier,
    DownpourRegressor,
    SandblasterClassifier,
    SandblasterRegressor,
)

ESTIMATORS = {
    "DownpourClassifier": DownpourClassifier("softmax", passes=6, replicas=1, random_state=0),
    "DownpourRegressor": DownpourRegressor(passes=6, replicas=1, random_state=0),
    "SandblasterClassifier": SandblasterClassifier(iterations=5, random_state=0),
    "SandblasterRegressor": SandblasterRegressor(iterations=5, random_state=0),
}


def main(names: list[str]) -> None:
    """Check the named estimators, or all."""
    for name in names or ESTIMATORS:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the checks provoke them
            checks = check_estimator(ESTIMATORS[name], on_skip=None, on_fail=None)
        failed = [check["check_name"] for check in checks if check["status"] == "failed"]
        took = time.monotonic() - began
        print(f"{name}: {len(checks)} checks in {took:.0f} s, failed: {failed or 'none'}")


if __name__ == "__main__":
    main(sys.argv[1:])
