"""Data divided by class, by an order or by a column, and the test at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief import LocalCluster, Result, train
from distbelief.coordinator.inference import scoring

N = 400


def table(path: Path) -> str:
    random = np.random.default_rng(0)
    x = random.normal(size=(N, 2)).round(4)
    label = np.where(x.sum(axis=1) + random.normal(size=N) > 0.8, "yes", "no")
    part = random.choice(["train", "train", "heldout", "test"], N)
    day = random.permutation(N)
    rows = zip(x[:, 0], x[:, 1], label, part, day, strict=True)
    path.write_text("a,b,y,part,day\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
@pytest.mark.parametrize(
    "settings",
    [
        {"split": "stratified", "test": 0.1, "data_options": {"ignore": "part,day"}},
        {"split": "day", "test": 0.1, "data_options": {"ignore": "part"}},
        {"holdout": "part", "data_options": {"ignore": "day"}},
    ],
)
def test_each_part_is_scored_as_evaluate_scores_it(
    shared: LocalCluster, tmp_path: Path, algorithm: str, settings: dict[str, Any]
) -> None:
    source = table(tmp_path / "a.csv")
    result: Result = train(
        cluster=shared, data=source, model="logistic", algorithm=algorithm, passes=2, iterations=5,
        folder=str(tmp_path / "runs"), **settings,
    )  # fmt: skip
    assert result.test is not None
    assert result.heldout is not None
    for part, figures in (("heldout", result.heldout), ("test", result.test)):
        options = settings["data_options"]
        score = scoring.evaluate(result.model.saved, source, options, part)
        assert score.accuracy == figures["accuracy"]
        assert score.loss == pytest.approx(figures["loss"], rel=1e-5)
    trained = scoring.evaluate(result.model.saved, source, options, "train")
    sizes = [scoring.evaluate(result.model.saved, source, options, part).n_examples
             for part in ("train", "heldout", "test")]  # fmt: skip
    assert sum(sizes) == N
    assert trained.accuracy > 0.6
