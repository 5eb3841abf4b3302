"""Flower is an extra: whoever wants it without having it is told what to do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError, ServerError
from distbelief.coordinator.cluster import flower
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.processes import Child, end


def test_a_missing_flower_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(ConfigError, match=r"pip install '\.\[flower\]'"),
        flower.run_flower(Endpoints("redis://nowhere", ()), tmp_path, 1.0, print),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_another_program_takes_the_port_first_flower_gets_the_next_one(
    tmp_path: Path,
) -> None:
    programs = [
        "raise OSError('Address already in use')",
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "print('Connected to', flush=True)\n"
        "while True: listener.accept()",
    ]
    started: list[Child] = []

    def start(port: int) -> Child:
        command = [sys.executable, "-c", programs[len(started)], str(port)]
        started.append(Child.start("flower", command, tmp_path, {}))
        return started[-1]

    child, port = flower._answering(start, (0, 0), 60.0)
    try:
        assert (child, len(started)) == (started[1], 2)
        assert port > 0
    finally:
        end([child], 0.0)
    programs[:] = programs[:1] * 4
    with pytest.raises(ServerError, match="Address already in use"):
        flower._answering(start, (0, 0), 60.0)
    assert len(started) == 4
