"""Coordinators are killed at any moment; ``resume`` goes on as if nothing had happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.faults.faulty_cluster import SHARDS, FaultyCluster
from tests.cluster.faults.paced import (
    ITERATIONS,
    PLANNED,
    Minimised,
    assert_exact,
    downpour,
    go,
    minimised,
    resumed,
    sandblaster,
)

Start = Callable[..., Any]

KILLS = 2
#: The moments are drawn from a stretch of some units and iterations.
LONGEST_LIFE_S = 1.5


@pytest.fixture(scope="module")
def survivors(
    volatile: FaultyCluster, module_command: Start, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The last command of a run of each algorithm whose coordinators were killed."""
    folder, moments = tmp_path_factory.mktemp("paced"), random.Random(0)
    endpoints = volatile.cluster.endpoints
    trainings = [
        module_command(*words(folder), endpoints=endpoints) for words in (downpour, sandblaster)
    ]
    runs = [training.run for training in trainings]
    volatile.seconds_until_progress(runs)
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.0, LONGEST_LIFE_S))
        for training in trainings:
            training.process.kill()
            training.ends()
        trainings = [resumed(module_command, training) for training in trainings]
        seconds = volatile.seconds_until_progress(runs)
        print(f"coordinators killed: both runs went on {seconds:.1f} s after")
    assert max(volatile.clocks(runs[0])) < PLANNED, "over before the last kill"
    assert max(volatile.losses(runs[1])) < ITERATIONS, "over before the last kill"
    go(folder)
    return dict(zip(("downpour", "sandblaster"), trainings, strict=True))


def test_every_push_of_downpour_counts_once_on_every_shard(
    survivors: dict[str, Any], volatile: FaultyCluster
) -> None:
    assert_exact(survivors["downpour"])
    assert volatile.clocks(survivors["downpour"].run) == [PLANNED] * SHARDS


def test_sandblaster_gives_the_losses_and_the_model_of_an_undisturbed_run(
    survivors: dict[str, Any], volatile: FaultyCluster, undisturbed: Minimised
) -> None:
    disturbed = minimised(volatile, survivors["sandblaster"])
    assert disturbed.parameters == undisturbed.parameters
    assert disturbed.losses.items() <= undisturbed.losses.items()
    # A coordinator may die after it committed an iteration and before it told of it.
    assert len(disturbed.losses) >= len(undisturbed.losses) - KILLS


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_nothing_comes_from_a_checkpoint_that_is_still_on_the_servers(
    survivors: dict[str, Any], algorithm: str
) -> None:
    training = survivors[algorithm]
    assert f"taken up under fence {KILLS + 1}" in training.err
    assert "came back" not in training.err
