"""A replica's own steps: the same bits with the native engine and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from distbelief.app.optimizers import rule as twin
from distbelief.app.optimizers.registry import NAMES
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store import native
from distbelief.app.store.native import library, steps
from tests.rules import rule_of

SIZE = twin.STRETCH + 77


@pytest.fixture
def twin_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the rules that the NumPy twin was asked to apply."""
    calls: list[str] = []
    original = twin.local_step

    def noting(rule: twin.Rule, *rest: Any) -> None:
        calls.append(rule.name)
        original(rule, *rest)

    monkeypatch.setattr(twin, "local_step", noting)
    return calls


def numbers(n: int, dtype: Any = np.float32) -> list[npt.NDArray[Any]]:
    """A gradient and a copy: not negative, as sums of squares are."""
    rng = np.random.default_rng(7)
    return [(rng.normal(size=SIZE) ** 2).astype(dtype) for _ in range(n)]


@pytest.mark.skipif(library() is None, reason="the native engine is not built")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", NAMES)
def test_the_engine_steps_as_the_twin_does(
    optimizer: str, dtype: Any, twin_calls: list[str]
) -> None:
    rule = rule_of(optimizer, learning_rate=0.3)
    gradient, *ours = numbers(2 + len(rule.slots), dtype)
    theirs = [value.copy() for value in ours]
    for clock in (0, 1, 900):
        steps.local_step(rule, gradient, ours, clock)
        assert not twin_calls
        twin.local_step(rule, gradient, theirs, clock)
        twin_calls.clear()
        for value, expected in zip(ours, theirs, strict=True):
            assert np.array_equal(value, expected)


def forget() -> None:
    native.engine.cache_clear()
    steps.native.cache_clear()


def test_without_the_engine_the_twin_steps(
    monkeypatch: pytest.MonkeyPatch, twin_calls: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "engine.so"
    broken.write_bytes(b"built for another machine")
    gradient, values = numbers(2)
    for found in (None, broken):
        monkeypatch.setattr(native, "library", lambda found=found: found)
        forget()
        steps.local_step(SGD(0.5), gradient, [values], 0)
    forget()
    assert twin_calls == ["sgd", "sgd"]


def test_what_the_engine_cannot_take_is_the_twins(twin_calls: list[str]) -> None:
    class Own(SGD):
        name = "own"

    gradient, values = numbers(2)
    expected = values - np.float32(0.5) * gradient
    steps.local_step(Own(0.5), gradient, [values], 0)
    assert np.array_equal(values, expected)
    mixed = np.ones(SIZE)
    steps.local_step(SGD(0.5), gradient, [mixed], 0)
    np.testing.assert_allclose(mixed, 1 - 0.5 * gradient, rtol=1e-6)
    assert twin_calls == ["own", "sgd"]
