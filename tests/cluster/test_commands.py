"""The command line end to end: train, look at what it says, use what it leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import sklearn.datasets

from app.errors import ExitCode
from app.models.files import load_model
from app.store.servers import Servers
from coordinator import binaries
from coordinator.local import Endpoints, LocalCluster
from coordinator.processes import Child, end

Start = Callable[..., Any]
Until = Callable[..., None]


@dataclass(frozen=True)
class Sparse:
    """A finished training with pushes and fetches every ten steps."""

    out: str
    err: str
    code: int
    model: Path
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Sparse:
    """``train --n-fetch 10 --n-push 10`` on servers and workers of its own."""
    folder = tmp_path_factory.mktemp("sparse")
    words = ["-m", "coordinator", "train", "--n-fetch", "10", "--n-push", "10"]
    before = {process.pid for process in psutil.process_iter()}
    answer = subprocess.run(
        [os.sys.executable, *words, "--folder", folder],  # type: ignore[attr-defined]
        capture_output=True,
        text=True,
        timeout=90,
    )
    (model,) = folder.glob("*/model.safetensors")
    left = [p for p in psutil.process_iter() if p.pid not in before and str(folder) in str(p)]
    return Sparse(answer.stdout, answer.stderr, answer.returncode, model, left)
