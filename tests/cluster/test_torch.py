"""A torch module, trained by worker processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from safetensors import safe_open

from distbelief.app.errors import ExitCode

pytest.importorskip("torch")

Start = Callable[..., Any]


def test_a_module_of_ones_own_trains_and_is_saved_as_its_state_dict(command: Start) -> None:
    words = ("--model=torch", "--module=torchmodules:net", "--model-option=width=24")
    training = command("train", *words, "--passes=5")
    assert training.ends() == ExitCode.OK, training.err
    (accuracy,) = re.findall(r"^held-out accuracy ([\d.]+)", training.out, re.MULTILINE)
    assert float(accuracy) > 0.9
    with safe_open(training.model, framework="numpy") as file:
        names = {name for name in file.keys() if ":" not in name}  # noqa: SIM118
        assert file.get_tensor("0.weight").shape == (24, 64)
        assert (file.get_tensor("1.running_var") != 1).any()
    layers = {f"{layer}.{part}" for layer in (0, 1, 4) for part in ("weight", "bias")}
    assert names == layers | {"1.running_mean", "1.running_var"}
