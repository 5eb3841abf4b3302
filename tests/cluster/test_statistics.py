"""Statistics, such as batch norm's, are those of the parameters that are scored and saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.errors import ExitCode
from distbelief.app.models.files import read_model
from distbelief.app.models.metrics import score
from tests.dividing import split

Start = Callable[..., Any]


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_what_is_saved_is_what_was_scored_with_the_means_of_the_training_examples(
    algorithm: str, command: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model=usermodels:Centred", "--batch-size=30", "--passes=3", "--iterations=5")
    training = command("train", f"--algorithm={algorithm}", *words)
    assert training.ends() == ExitCode.OK, training.err
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "usermodels")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    saved = read_model(training.model)
    dataset = open_cached("digits", {}, default_cache_folder())
    train, heldout = split(dataset.n_examples, 0.2, 0)
    mean = dataset.features[train[: len(train) // 30 * 30]].mean(axis=0)
    np.testing.assert_allclose(saved.parameters[-64:], mean, atol=1e-5)
    (told,) = re.findall(r"^held-out accuracy [\d.]+, loss ([\d.]+)", training.out, re.MULTILINE)
    rows = heldout[:]
    again = score(saved.source(), dataset.features[rows], dataset.targets[rows])
    assert again.loss == pytest.approx(float(told), abs=1e-4)
