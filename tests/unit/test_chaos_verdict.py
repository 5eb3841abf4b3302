"""What the command that hurts a cluster calls a failure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import save_file

from verdict import WRITING_S, Reference, Verdict, judge

PLANNED, SHARDS = 20, 3
SUMMARY = "40 steps; updates applied: {} on each of 3 shards, 20 planned\nheld-out 9, loss 0.5, x"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What a run wrote."""
    save_file({"w": np.arange(3.0)}, path := tmp_path / "model.safetensors")
    return path


def verdict(
    model: Path, clocks: list[int | None], told: str = "20", back_s: float = 0.0
) -> Verdict:
    """On a run of Downpour, a server of which went back ``back_s`` after the model was written."""
    work = SimpleNamespace(algorithm="downpour")
    trial = SimpleNamespace(run="r", model=model, work=work, out=SUMMARY.format(told))
    older = {"parameters1": model.stat().st_mtime + back_s}
    fleet = SimpleNamespace(clocks=lambda run, n_shards: clocks, older_since=older)
    reference = Reference(cast("Any", None), 0.5, PLANNED, SHARDS)
    return judge(cast("Any", trial), reference, cast("Any", fleet))


def test_an_update_too_few_or_too_many_on_any_shard_is_a_failure(model: Path) -> None:
    early = -2 * WRITING_S
    assert verdict(model, [20, 20, 20], back_s=early) == Verdict("", 0, 0, 0.5)
    assert verdict(model, [20, 19, 20], back_s=early).lost == 1
    assert verdict(model, [20, 20, 22], back_s=early).doubled == 2
    assert verdict(model, [20, 20, 20], "18 to 20", early).lost == 2
    assert "[20, 20, 19, 20]" in verdict(model, [20, 19, 20], back_s=early).failure


def test_what_a_server_loses_after_the_model_was_read_is_none(model: Path) -> None:
    late = 2 * WRITING_S
    assert verdict(model, [20, 15, None], back_s=late).failure == ""
    assert verdict(model, [15, 20, 20], back_s=late).lost == 5  # of the other server
    assert verdict(model, [20, 21, 20], back_s=late).doubled == 1


@pytest.mark.parametrize(
    ("losses", "weights", "expected"),
    [
        ({1: 0.5, 2: 0.25}, 3.0, ""),
        ({1: 0.5, 2: 0.26}, 3.0, "loss 0.26 at iteration 2, undisturbed 0.25"),
        ({1: 0.5, 3: 0.2}, 3.0, "loss 0.2 at iteration 3, undisturbed None"),
        ({1: 0.5}, 3.5, "the model differs from the undisturbed run's"),
    ],
)
def test_another_loss_on_the_way_or_another_bit_is_a_failure(
    losses: dict[int, float], weights: float, expected: str, model: Path, tmp_path: Path
) -> None:
    save_file({"w": np.append(np.arange(2.0), weights - 1)}, other := tmp_path / "other")
    work = SimpleNamespace(algorithm="sandblaster")
    undisturbed = cast("Any", SimpleNamespace(model=model))
    reference = Reference(undisturbed, 0.5, losses={1: 0.5, 2: 0.25})
    trial = SimpleNamespace(work=work, out="", model=other, losses=losses)
    assert judge(cast("Any", trial), reference, cast("Any", None)).failure == expected
