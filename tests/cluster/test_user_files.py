"""A user's own files, end to end: names of classes, held-out data of their own, large arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from distbelief.app.errors import ExitCode

Start = Callable[..., Any]
Train = Callable[..., Any]

COLUMNS = ("id", "length", "width", "kind")
KINDS = np.array(["moth", "bee"])


def examples(n: int, seed: int) -> tuple[Any, Any]:
    """Two features, and one of two kinds: mostly a matter of their sum."""
    random = np.random.default_rng(seed)
    x = np.round(random.normal(size=(n, 2)), 3)
    return x, KINDS[(x.sum(axis=1) + random.logistic(size=n) / 2 > 0).astype(int)]


def write(path: Path, x: Any, kinds: Any) -> Path:
    rows = (f"{i},{a},{b},{kind}" for i, ((a, b), kind) in enumerate(zip(x, kinds, strict=True)))
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    train = write(tmp_path / "train.csv", *examples(2000, 0))
    return train, write(tmp_path / "held.csv", *examples(300, 1))


OPTIONS = {"target": "kind", "ignore": "id"}


@pytest.mark.parametrize(
    "algorithm",
    [{"algorithm": "downpour", "passes": 20}, {"algorithm": "sandblaster", "iterations": 30}],
    ids=["downpour", "sandblaster"],
)
def test_both_algorithms_train_on_a_file_and_score_another(
    train_shared: Train, files: tuple[Path, Path], algorithm: dict[str, Any]
) -> None:
    train, held = files
    trained = train_shared(
        data=str(train), data_options=OPTIONS, holdout_data=str(held), model="logistic", **algorithm
    )
    assert trained.saved.schema.labels == ("bee", "moth")
    score = trained.outcome.heldout.score
    theirs = LogisticRegression(C=1e6).fit(*examples(2000, 0)).score(*examples(300, 1))
    assert score.n_examples == 300
    assert score.accuracy == pytest.approx(theirs, abs=0.02)


def test_what_was_trained_on_a_file_answers_in_its_words(
    command: Start, files: tuple[Path, Path], tmp_path: Path
) -> None:
    train, held = files
    words = [f"--data-option={name}={value}" for name, value in OPTIONS.items()]
    described = command("data", train, *words, "--json")
    assert described.ends() == ExitCode.OK, described.err
    assert json.loads(described.out)["numeric_columns"] == ["length", "width"]

    training = command("train", "--data", train, *words, "--model", "logistic", "--passes", "10")
    assert training.ends() == ExitCode.OK, training.err

    _, kinds = examples(300, 1)
    scored = command("evaluate", "--model", training.model, "--data", held)
    assert scored.ends() == ExitCode.OK, scored.err
    accuracy = float(scored.out.splitlines()[1].split()[1])

    new = tmp_path / "new.csv"  # without kinds
    new.write_text("\n".join(line.rpartition(",")[0] for line in held.read_text().splitlines()))
    predicted = command("predict", "--model", training.model, "--data", new)
    assert predicted.ends() == ExitCode.OK, predicted.err
    answers = [line.partition(",")[0] for line in predicted.out.splitlines()[1:]]
    assert np.mean(np.array(answers) == kinds) == pytest.approx(accuracy, abs=1e-6)
    assert accuracy > 0.75
