"""A coordinator of a hybrid dies before, during and after the hand-over, or shards lose data there.

The one after it comes to the same minimum, and leaves no vector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.hybrid.driver import Hybrid
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.redis.coordinator.killable_hybrid import KillableHybrid, objective
from tests.redis.coordinator.killable_run import Killed, Lived

#: Each step so near to the hand-over is tried, and of the others some.
NEAR, STRIDE = 8, 30
#: Steps: more than any coordinator takes.
ALIVE = 10**6


def loss(run: KillableHybrid, point: Vector) -> float:
    return objective(run.problem, point)[0]


@pytest.fixture
def run(
    cluster_of: Callable[[ServerProgram], LocalCluster],
    tmp_path: Path,
    new_run: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KillableHybrid]:
    run = KillableHybrid(cluster_of(binaries.find()), tmp_path, new_run, monkeypatch)
    yield run
    run.close()


@pytest.fixture
def undisturbed(run: KillableHybrid) -> Lived:
    """What a run does whose coordinator lives."""
    lived = run.live()
    assert run.leftovers() == []
    run.begin()
    return lived


def test_l_bfgs_begins_where_downpour_ended(run: KillableHybrid) -> None:
    """Its first evaluation has the loss of Downpour's last parameters, to the last bit."""
    seen = []

    def note(driver: Hybrid, _: Checkpoints) -> None:
        if isinstance(driver._driver, Downpour):
            seen.append(driver._driver._store.fetch().vector)

    lived = run.live(after=note)
    assert lived.handover is not None
    assert lived.handover["why"] == EndReason.PLATEAU
    assert 2 <= lived.handover["passes"] < run.problem.config.passes
    assert lived.first == loss(run, seen[-1])
    assert loss(run, np.asarray(lived.parameters)) < lived.first
    passes, steps = lived.handover["passes"], lived.handover["steps"]
    assert lived.summary[0] == (
        f"handed over to L-BFGS after {passes:.3g} passes of Downpour, {steps} steps: "
        "the loss hardly falls any more"
    )


def test_a_coordinator_may_die_before_during_and_after_the_hand_over(
    run: KillableHybrid, undisturbed: Lived
) -> None:
    assert undisturbed.handover is not None
    there, passes = undisturbed.handover["at_step"], undisturbed.handover["passes"]
    near = range(there - NEAR, there + NEAR)
    assert near.start > 1
    assert near.stop < undisturbed.steps
    for last in sorted({*near, *range(1, undisturbed.steps, STRIDE)}):
        with pytest.raises(Killed):
            run.live(last)
        lived = run.live()
        assert lived.said == []
        assert run.leftovers() == []
        if not np.array_equal(lived.parameters, undisturbed.parameters):
            # What it had been told of a pass died with it, so that L-BFGS began later.
            assert last < there
            assert lived.handover is not None
            assert lived.handover["passes"] > passes
            least = loss(run, undisturbed.parameters)
            assert loss(run, lived.parameters) == pytest.approx(least, rel=1e-7)
        run.begin()


@pytest.mark.parametrize("iteration", [0, 2])
def test_what_is_lost_after_the_hand_over_is_made_again_from_before_it(
    iteration: int, run: KillableHybrid, undisturbed: Lived
) -> None:
    """The only checkpoint is that of the beginning, and other shards stand where L-BFGS began."""
    done: list[int] = []

    def lose(driver: Hybrid, _: Checkpoints) -> None:
        stage = driver._driver
        if isinstance(stage, Sandblaster) and stage.status().iteration == iteration and not done:
            done.append(iteration)
            run.lose()

    lived = run.live(after=lose)
    assert done
    assert re.match(r"shard 1 on \S+ lacks vectors that the run needs", lived.said[0])
    assert lived.said[1].startswith("shard 0 came back from checkpoint")
    assert lived.said[-1] == "the hand-over to L-BFGS is undone: Downpour goes on"
    assert lived.handover is not None
    assert np.array_equal(lived.parameters, undisturbed.parameters)
    assert run.leftovers() == []


def test_a_checkpoint_of_l_bfgs_brings_back_what_it_held(
    run: KillableHybrid, undisturbed: Lived
) -> None:
    done: list[str] = []

    def checkpoint_and_lose(driver: Hybrid, checkpoints: Checkpoints) -> None:
        stage = driver._driver
        if isinstance(stage, Downpour):
            return
        if stage.status().iteration == 1 and not done:
            done.append(cast("Path", checkpoints.write(99, driver.capture)).name)
        if stage.status().iteration == 3 and len(done) == 1:
            done.append("lost")
            run.lose()

    lived = run.live(after=checkpoint_and_lose)
    missing, back = lived.said
    assert re.match(r"shard 1 on \S+ lacks vectors that the run needs", missing)
    assert back == (
        f"the vectors came back from checkpoint {done[0]}, iteration 1; "
        "2 iterations were lost and are made again"
    )
    assert np.array_equal(lived.parameters, undisturbed.parameters)
    assert run.leftovers() == []


@pytest.mark.parametrize("by", [2, 8])
def test_a_shard_may_go_back_over_the_hand_over(
    by: int, run: KillableHybrid, undisturbed: Lived
) -> None:
    """Its server comes back as it was some steps before, when Downpour still changed it."""
    assert undisturbed.handover is not None
    there, noticed = undisturbed.handover["at_step"], 0
    for at in (there - 2, there + 1, there + 4, there + 9):
        run.servers.before = run.goes_back(at, by)
        lived = run.live(last=ALIVE)
        run.servers.before = None
        least = loss(run, undisturbed.parameters)
        assert loss(run, lived.parameters) == pytest.approx(least, rel=1e-7)
        noticed += bool(lived.said)  # of two steps neither may have changed this shard
        assert run.leftovers() == []
        run.begin()
    assert noticed == 4 if by == 8 else noticed > 0
