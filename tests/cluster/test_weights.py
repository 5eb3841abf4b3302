"""A file with weights is trained on as the file with rows repeated, and as by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from distbelief import LocalCluster, Result, train

X, Y = load_breast_cancer(return_X_y=True)
X = X[:, [1, 4, 7, 9]].round(4)
TIMES = np.random.default_rng(0).integers(0, 4, len(Y))
PART = np.where(np.random.default_rng(1).random(len(Y)) < 0.3, "heldout", "train")
TRAIN, HELD = PART == "train", PART == "heldout"

#: Down to the minimum, as far as numbers go.
EXACT: dict[str, Any] = {
    "algorithm": "sandblaster",
    "iterations": 500,
    "gradient_tolerance": 1e-8,
    "decrease_tolerance": 0.0,
    "evaluate_every": 1000,
    "portions": 2,
}
#: Repeated rows are in minibatches of their own; on the whole batch weights are the same. Steps
#: follow one another, and the last is the best: nothing depends on who is faster.
WHOLE: dict[str, Any] = {
    "passes": 3,
    "replicas": 1,
    "batch_size": 100_000,
    "n_push": 1,
    "n_fetch": 1,
    "overlap": False,
    "evaluate_every": 3,
    "metric": "log_loss",
}

Train = Callable[..., Result]


@pytest.fixture
def trained(shared: LocalCluster, tmp_path: Path) -> Train:
    options = {"target": "y", "task": "classification"}

    def do(source: str, more: dict[str, Any], **settings: Any) -> Result:
        known: dict[str, Any] = {
            "model": "logistic",
            "seed": 0,
            "holdout": "part",
            "folder": str(tmp_path),
            "wait_seconds": 60.0,
        }
        known |= {"data_options": {**options, **more}, **settings}
        return train(data=source, cluster=shared, **known)

    return do


def table(path: Path, *, times: Any = None, weights: Any = None) -> str:
    """A CSV file in which rows are repeated, or have weights."""
    columns: dict[str, list[Any]] = {f"x{i}": column.tolist() for i, column in enumerate(X.T)}
    columns |= {"part": PART.tolist(), "y": Y.tolist()}
    if weights is not None:
        columns["w"] = weights.tolist()
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    repeated = np.repeat(rows, 1 if times is None else times)
    path.write_text("\n".join([",".join(columns), *repeated, ""]))
    return str(path)


@pytest.mark.parametrize(
    ("settings", "options", "unit"),
    [
        (EXACT | {"class_weight": "balanced"}, {}, 1.0),
        (WHOLE | {"class_weight": "0=3", "negative_rate": 0.5}, {}, 20.0),
        (WHOLE | {"table_numbers": 1, "l2": 1e-2}, {"categorical": "x0", "buckets": 64}, 1.0),
    ],
    ids=["sandblaster, balanced classes", "downpour, weighted classes, picked negatives", "tables"],
)
def test_weights_are_rows_repeated(
    trained: Train,
    tmp_path: Path,
    settings: dict[str, Any],
    options: dict[str, Any],
    unit: float,
) -> None:
    """In what is learned, and in all figures, which come from workers."""
    weighted = table(tmp_path / "a.csv", weights=TIMES * unit)
    ours = trained(weighted, {"weight": "w", **options}, **settings)
    theirs = trained(table(tmp_path / "b.csv", times=TIMES), options, **settings)
    for name, numbers in theirs.model.parameters.items():
        assert ours.model.parameters[name] == pytest.approx(numbers, rel=1e-3, abs=1e-4)
    assert ours.heldout is not None
    assert theirs.heldout is not None
    for figure in ("accuracy", "auc", "log_loss", "loss", "precision", "recall"):
        assert ours.heldout[figure] == pytest.approx(theirs.heldout[figure], rel=1e-4), figure


def test_the_minimum_and_its_figures_are_those_of_scikit_learn(
    trained: Train, tmp_path: Path
) -> None:
    ours = trained(table(tmp_path / "a.csv", weights=TIMES), {"weight": "w"}, **EXACT)
    scaler = StandardScaler().fit(X, sample_weight=TIMES)  # all rows, as ours
    regression = LogisticRegression(C=4, tol=1e-10, max_iter=10_000)
    regression.fit(scaler.transform(X[TRAIN]), Y[TRAIN], sample_weight=TIMES[TRAIN])
    chances = regression.predict_proba(scaler.transform(X))
    assert ours.model.predict_proba(X) == pytest.approx(chances, abs=1e-5)
    labels, of = Y[HELD], {"sample_weight": TIMES[HELD]}
    heldout, chances = ours.heldout, chances[HELD, 1]
    assert heldout is not None
    assert heldout["auc"] == pytest.approx(roc_auc_score(labels, chances, **of), rel=1e-6)
    assert heldout["log_loss"] == pytest.approx(log_loss(labels, chances, **of), rel=1e-4)
    assert heldout["accuracy"] == pytest.approx(accuracy_score(labels, chances > 0.5, **of))


def test_a_weighted_regression_from_arrays_by_name_is_that_of_ridge(
    trained: Train, tmp_path: Path
) -> None:
    x, y = load_diabetes(return_X_y=True)
    weights = np.random.default_rng(0).random(len(y)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=y, importance=weights)
    options = {"task": "regression", "weight": "importance"}
    settings = EXACT | {"model": "linear", "l2": 0.1, "holdout": 0.0, "data_options": options}
    ours = trained(str(tmp_path / "a.npz"), {}, **settings)
    scaled = StandardScaler().fit(x, sample_weight=weights).transform(x)
    theirs = Ridge(alpha=0.1 * weights.sum(dtype=float)).fit(scaled, y, sample_weight=weights)
    assert ours.model.predict(x) == pytest.approx(theirs.predict(scaled), rel=1e-5)


def test_sparse_examples_with_weights_behind_their_labels_are_repeated_ones(
    trained: Train, tmp_path: Path
) -> None:
    x, paths = X / X.max(axis=0), (tmp_path / "a.libsvm", tmp_path / "b.libsvm")
    pairs = [" ".join(f"{i}:{value:.4f}" for i, value in enumerate(row, 1)) for row in x]
    weighted = [f"{y}:{w} {row}" for y, w, row in zip(Y, TIMES, pairs, strict=True)]
    plain = np.repeat([f"{y} {row}" for y, row in zip(Y, pairs, strict=True)], TIMES).tolist()
    for path, lines in zip(paths, (weighted, plain), strict=True):
        path.write_text("\n".join(lines) + "\n")
    few: dict[str, Any] = {"algorithm": "sandblaster", "iterations": 5, "holdout": 0.0}
    ours, theirs = (
        trained(str(path), {}, **few, data_options=options)
        for path, options in zip(paths, ({"weight": True}, {}), strict=True)
    )
    for name, numbers in theirs.model.parameters.items():
        assert ours.model.parameters[name] == pytest.approx(numbers, rel=1e-3, abs=1e-4)


def test_a_training_says_which_data_have_weights(trained: Train, tmp_path: Path) -> None:
    said: list[str] = []
    source, other = table(tmp_path / "a.csv", weights=TIMES), table(tmp_path / "b.csv")
    moment: dict[str, Any] = {"passes": 1, "say": said.append}
    trained(source, {"weight": "w", "ignore": "part"}, holdout=0.2, holdout_data=other, **moment)
    assert "weights: column 'w'" in said
    assert (
        f"the held-out data {other} have no weights: all of these examples count the same" in said
    )
