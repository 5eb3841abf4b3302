"""Two workers of one name are two, and whoever trains with them is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import end
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.fleets import start_worker

Start = Callable[..., Any]
Until = Callable[..., None]


@pytest.fixture
def messages(fleet: LocalCluster, tmp_path: Path, until: Until) -> Iterator[Messages]:
    """Two workers called twin@HOST answer these questions."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    started = [start_worker(fleet, folder, "twin") for folder in folders]
    try:
        with closing(Messages(fleet.endpoints.broker)) as asked:
            until(lambda: len(asked.queues_served()) == 2, "the answers of both")
            yield asked
    finally:
        end(started, 0.0)


def test_both_are_counted_and_named(
    messages: Messages, fleet: LocalCluster, command: Start
) -> None:
    assert messages.processes() == 2
    (first, queues), (second, others) = messages.queues_served()
    assert (first, queues) == (second, others)
    doctor = command("doctor", endpoints=fleet.endpoints)
    assert doctor.ends() == 0, doctor.err
    assert f"2 workers are called {first}" in doctor.out.replace("\n", " ")
    training = command("train", "--passes", 1, endpoints=fleet.endpoints)
    assert training.ends() == 0, training.err
    assert f"warning: 2 workers are called {first}" in training.err
    assert "--hostname NAME@%h" in training.err
