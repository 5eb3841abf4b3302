"""Flower is an extra: whoever wants it without having it is told what to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.coordinator.cluster import flower
from distbelief.coordinator.cluster.endpoints import Endpoints


def test_a_missing_flower_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(ConfigError, match=r"pip install '\.\[flower\]'"),
        flower.run_flower(Endpoints("redis://nowhere", ()), tmp_path, 1.0, print),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
