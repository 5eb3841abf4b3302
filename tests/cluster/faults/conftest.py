"""Clusters to be hurt, and what a run gives that nothing happens to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.conftest import commands
from tests.cluster.faults.faulty_cluster import DEADLINE_S, FaultyCluster
from tests.cluster.faults.paced import Minimised, go, minimised, sandblaster

Start = Callable[..., Any]


@contextmanager
def faulty_cluster_of(folder: Path, *, durable: bool) -> Iterator[FaultyCluster]:
    cluster = LocalCluster(
        servers=2,
        processes=0,
        folder=folder,
        wait_s=DEADLINE_S,
        durable=folder / "servers" if durable else None,
    )
    with cluster, closing(FaultyCluster(cluster)) as faulty:
        yield faulty


@pytest.fixture(scope="session")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyCluster]:
    """Servers with append-only files, and a worker of four processes."""
    with faulty_cluster_of(tmp_path_factory.mktemp("durable"), durable=True) as faulty:
        faulty.start_worker(4)
        yield faulty


@pytest.fixture(scope="session")
def volatile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyCluster]:
    """Servers that forget everything when they end, and a worker of four processes."""
    with faulty_cluster_of(tmp_path_factory.mktemp("volatile"), durable=False) as faulty:
        faulty.start_worker(4)
        yield faulty


@pytest.fixture(scope="session")
def undisturbed(volatile: FaultyCluster, tmp_path_factory: pytest.TempPathFactory) -> Minimised:
    """The Sandblaster run when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    go(folder)
    with commands(folder) as start:
        return minimised(
            volatile, start(*sandblaster(folder), endpoints=volatile.cluster.endpoints)
        )
