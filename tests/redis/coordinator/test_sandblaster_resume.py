"""A coordinator of Sandblaster dies at every step it takes, or shards lose vectors under it.

The one after it repeats the losses of an undisturbed run to the last bit, and leaves no vector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from distbelief.app.errors import CheckpointError
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs import leadership
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.redis.coordinator.killable_run import Killed, LocalBatch
from tests.redis.coordinator.killable_sandblaster import ITERATIONS, KillableSandblaster, Losses
from tests.unit.coordinator.sandblaster.problems import rosenbrock

#: Of the steps at which a shard may go back so many are passed over, to be fast.
STRIDE = 7
#: Steps: more than any coordinator takes.
ALIVE = 10**6
#: Steps: room for taking a run up, for saving its start, and for more than one iteration.
SHORT_LIFE = 40
#: Steps after a loss at which the first iteration is made again.
AGAIN = range(10, 20)


@pytest.fixture(params=[0.0, 0.5], ids=["L-BFGS", "OWL-QN"])
def run(
    request: pytest.FixtureRequest,
    cluster_of: Callable[[ServerProgram], LocalCluster],
    tmp_path: Path,
    new_run: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KillableSandblaster]:
    cluster = cluster_of(binaries.find())
    run = KillableSandblaster(cluster, tmp_path, new_run, monkeypatch, l1=request.param)
    yield run
    run.close()


@dataclass(frozen=True)
class Undisturbed:
    steps: int
    losses: Losses
    parameters: Vector

    def is_repeated_in(self, run: KillableSandblaster, parameters: Vector) -> None:
        assert list(run.losses.items()) == list(self.losses.items())
        assert np.array_equal(parameters, self.parameters)
        assert run.leftovers() == []


@pytest.fixture
def undisturbed(run: KillableSandblaster) -> Undisturbed:
    """What a run does whose coordinator lives."""
    lived = run.live()
    assert run.leftovers() == []
    told = Undisturbed(lived.steps, run.losses, lived.parameters)
    run.begin()
    return told


def test_the_undisturbed_run_has_what_may_go_wrong(run: KillableSandblaster) -> None:
    trials = []

    def count(driver: Sandblaster, _: Checkpoints) -> None:
        trials.append(driver.status().iteration)

    parameters = run.live(after=count).parameters
    assert list(run.losses) == list(range(ITERATIONS + 1))
    assert max(trials.count(iteration) for iteration in range(ITERATIONS)) >= 3
    point, l1 = np.asarray(parameters, np.float64), run.config.l1
    objective = rosenbrock(point)[0] + l1 * float(np.abs(point).sum())
    assert objective == pytest.approx(run.losses[ITERATIONS], rel=1e-15)
    assert objective < run.losses[0]
    assert (np.count_nonzero(point) < len(point)) == (l1 > 0)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_coordinator_may_die_in_the_middle_of_every_step(
    every: int, run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    ends = range(undisturbed.steps - every, undisturbed.steps + 1)
    for last in sorted({*range(1, undisturbed.steps + 1, every), *ends}):
        with pytest.raises(Killed):
            run.live(last)
        lived = run.live()
        assert lived.said == []  # nothing in force is dropped too early
        undisturbed.is_repeated_in(run, lived.parameters)
        run.begin()


def test_coordinators_may_die_one_after_another_while_they_take_the_run_up_as_well(
    run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    deaths, parameters = 0, None
    while parameters is None:
        try:
            # Every second one dies while it takes the run up, a step later each time.
            parameters = run.live(SHORT_LIFE if deaths % 2 == 0 else 1 + deaths // 2).parameters
        except Killed:
            deaths += 1
    assert deaths >= 4
    undisturbed.is_repeated_in(run, parameters)


def test_what_a_checkpoint_held_on_to_goes_when_the_run_is_taken_up(
    run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    held: list[str] = []

    def capture(driver: Sandblaster, checkpoints: Checkpoints) -> None:
        if driver.status().iteration == 2 and not held:
            held.append(driver.capture().document["driver"]["state"]["gradient"])

    with pytest.raises(Killed):
        run.live(undisturbed.steps - 10, after=capture)
    (gradient,) = held
    assert any(key.endswith(f":vec:{gradient}".encode()) for key in run.leftovers())
    undisturbed.is_repeated_in(run, run.live().parameters)


@pytest.mark.parametrize("what", ["a vector in force", "a whole shard"])
@pytest.mark.parametrize("alive", [True, False], ids=["under a coordinator", "between two"])
def test_what_shards_lose_comes_back_from_the_checkpoint(
    what: str, *, alive: bool, run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    done: list[str] = []

    def checkpoint_and_lose(driver: Sandblaster, checkpoints: Checkpoints) -> None:
        iteration = driver.status().iteration
        if iteration == 2 and not done:
            done.append(cast("Path", checkpoints.write(1, driver.capture)).name)
        if iteration == 4 and len(done) == 1:
            done.append(what)
            run.lose_some(what)
            if not alive:
                raise Killed

    if alive:
        lived = run.live(after=checkpoint_and_lose)
    else:
        with pytest.raises(Killed):
            run.live(after=checkpoint_and_lose)
        lived = run.live()
    assert len(done) == 2
    missing, back = lived.said
    assert re.fullmatch(r"shard 1 on \S+ lacks vectors that the run needs", missing)
    assert back == (
        f"the vectors came back from checkpoint {done[0]}, iteration 2; "
        "2 iterations were lost and are made again"
    )
    undisturbed.is_repeated_in(run, lived.parameters)


def test_who_went_back_to_the_begin_may_die_in_the_middle_of_every_step(
    run: KillableSandblaster, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made again has the names of what was there before: half of it is no iteration."""
    monkeypatch.setattr(LocalBatch, "shares", (0.5, 0.5))
    lost = list[int]()

    def lose(driver: Sandblaster, checkpoints: Checkpoints) -> None:
        if not lost and leadership.committed(run.control, run.run) is not None:
            run.lose_some("a whole shard")
            lost.append(run.servers.life.steps)

    run.live(after=lose)
    for step in AGAIN:
        run.begin()
        last = lost.pop() + step
        with pytest.raises(Killed):
            run.live(last, after=lose)
        undisturbed.is_repeated_in(run, run.live().parameters)


@pytest.mark.parametrize("by", [1, pytest.param(3, marks=pytest.mark.slow), 12])
def test_a_shard_may_go_back_at_every_step(
    by: int, run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    """A replica takes over that was so many steps behind, or a server starts from a snapshot."""
    noticed = 0
    for at in range(1 + by, undisturbed.steps + 1, STRIDE):
        run.servers.before = run.goes_back(at, by)
        lived = run.live(last=ALIVE)
        run.servers.before = None
        noticed += bool(lived.said)
        for line in lived.said[:1]:
            assert re.match(r"shard 1 on \S+ came back with older data: \d+ changes? behind", line)
        undisturbed.is_repeated_in(run, lived.parameters)
        run.begin()
    assert noticed > undisturbed.steps / STRIDE / 5


def test_without_a_checkpoint_what_is_lost_is_not_made_up(
    run: KillableSandblaster, undisturbed: Undisturbed
) -> None:
    with pytest.raises(Killed):
        run.live(undisturbed.steps // 2)
    run.lose_some("a vector in force")
    for path in run.folder.iterdir():
        path.rename(path.with_name(f".{path.name}"))  # as one that was never finished
    with pytest.raises(CheckpointError, match="there is no checkpoint to go back to"):
        run.live()
