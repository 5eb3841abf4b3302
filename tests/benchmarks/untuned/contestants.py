"""Who takes part with default settings: scikit-learn's estimators, ours, and our command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from distbelief import (
    DownpourClassifier,
    DownpourRegressor,
    SandblasterClassifier,
    SandblasterRegressor,
)
from untuned.fits import LINEAR, NETWORK, Fit
from untuned.problems import Array, Problem

ROOT = Path(__file__).parents[3]

#: Features and targets.
Part = tuple[Array, Array]

#: How lines begin that say that something is wrong.
REMARKS = ("warning", "no better")


@dataclass(frozen=True)
class Contestant:
    """A method with its defaults.

    Attributes:
        name: in tables.
        kinds: of the models that it trains by default: of classes, of numbers.
        ours: whether it is judged, or what the others are judged by.
        makers: of an estimator for classes and one for numbers; none for the command line.
    """

    name: str
    kinds: tuple[str, str]
    ours: bool
    makers: tuple[Callable[..., BaseEstimator], Callable[..., BaseEstimator]] | None

    def kind(self, problem: Problem) -> str:
        return self.kinds[0 if problem.classes else 1]


CONTESTANTS: tuple[Contestant, ...] = (
    Contestant("LogReg, Ridge", (LINEAR, LINEAR), ours=False, makers=(LogisticRegression, Ridge)),
    Contestant("SGD", (LINEAR, LINEAR), ours=False, makers=(SGDClassifier, SGDRegressor)),
    Contestant("MLP", (NETWORK, NETWORK), ours=False, makers=(MLPClassifier, MLPRegressor)),
    Contestant(
        "Sandblaster",
        (LINEAR, LINEAR),
        ours=True,
        makers=(SandblasterClassifier, SandblasterRegressor),
    ),
    Contestant(
        "Downpour", (NETWORK, LINEAR), ours=True, makers=(DownpourClassifier, DownpourRegressor)
    ),
    Contestant("command", (NETWORK, NETWORK), ours=True, makers=None),
)


def trained(problem: Problem, seed: int, contestant: Contestant, *, scaled: bool) -> Fit:
    """Train with defaults on three quarters, score on the other."""
    x, x_out, y, y_out = problem.divided(seed)
    if scaled:
        scaler = StandardScaler().fit(x)
        x, x_out = scaler.transform(x), scaler.transform(x_out)
    training, held_out = (x, y), (x_out, y_out)
    if contestant.makers is None:
        found = _by_command(problem, seed, training, held_out)
    else:
        maker = contestant.makers[0 if problem.classes else 1]
        found = _by_estimator(problem, maker(random_state=seed), training, held_out)
    answers, chances, said = found
    return Fit(
        problem=problem.name,
        scaled=scaled,
        seed=seed,
        contestant=contestant.name,
        kind=contestant.kind(problem),
        ours=contestant.ours,
        score=problem.score(y_out, answers),
        constant=problem.score(y_out, np.full(len(y_out), _constant(y, problem.classes))),
        log_loss=None if chances is None else float(log_loss(y_out, chances, labels=np.unique(y))),
        said=said,
    )


def _constant(targets: Array, classes: bool) -> float:
    """What is answered best if the same is answered always."""
    kinds, counts = np.unique(targets, return_counts=True)
    return float(kinds[np.argmax(counts)] if classes else targets.mean())


def _by_estimator(
    problem: Problem, estimator: Any, training: Part, held_out: Part
) -> tuple[Array, Array | None, tuple[str, ...]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = estimator.fit(*training)
    given = problem.classes and hasattr(fitted, "predict_proba")
    chances = fitted.predict_proba(held_out[0]) if given else None
    return fitted.predict(held_out[0]), chances, tuple(str(each.message) for each in caught)


def _by_command(
    problem: Problem, seed: int, training: Part, held_out: Part
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """``train`` on a CSV and ``predict`` for another; only the seed is set for the result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "train.csv", *training)
        _write(folder / "other.csv", *held_out)
        output = [
            "--output=model.safetensors",
            "--folder=runs",
            "--wait-seconds=120",
        ]  # on a busy machine
        said = _run(folder, "train", "--data=train.csv", f"--seed={seed}", *output)
        wanted = ["--model=model.safetensors", *(["--proba"] if problem.classes else [])]
        table = _run(folder, "predict", "--data=other.csv", *wanted)
    remarks = tuple(line for line in said.splitlines() if line.startswith(REMARKS))
    answers = np.array([line.split(",") for line in table.splitlines()[1:]], dtype=float)
    if not problem.classes:
        return answers[:, 0], None, remarks
    chances = answers[:, 1:]
    if chances.shape[1] == 1:  # that of the second class of two
        chances = np.hstack([1 - chances, chances])
    return answers[:, 0], chances / chances.sum(axis=1, keepdims=True), remarks


def _write(path: Path, x: Array, y: Array) -> None:
    names = [*(f"x{i}" for i in range(x.shape[1])), "target"]
    rows = (
        [*map(repr, row), repr(target)] for row, target in zip(x.tolist(), y.tolist(), strict=True)
    )
    path.write_text("\n".join(map(",".join, [names, *rows])) + "\n")


def _run(folder: Path, *words: str) -> str:
    """What a command wrote; of a training also what it said on the way."""
    paths = {"DISTBELIEF_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "distbelief", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **paths},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout + (done.stderr if words[0] == "train" else "")
