"""Servers die, freeze, forget and cut their connections: both algorithms go on by themselves.

A run of each trains on two clusters, with append-only files and without. One fault after
another happens to their servers; whoever was started before is there at the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.faults.faulty_cluster import CONTROL, SHARDS, FaultyCluster
from tests.cluster.faults.paced import (
    ITERATIONS,
    PLANNED,
    Minimised,
    assert_exact,
    downpour,
    go,
    minimised,
    sandblaster,
)

Start = Callable[..., Any]
Until = Callable[..., None]

FIRST, SECOND = "parameters0", "parameters1"
TAKEN_UP = "taken up under fence"
DOWN_S = 5.0


@dataclass(frozen=True)
class Fault:
    """Something that is done to servers for a while; ``loses``: they forget everything."""

    name: str
    done: Callable[[FaultyCluster], AbstractContextManager[None]]
    seconds: float
    loses: bool


def killed(seconds: float, *names: str, loses: bool) -> Fault:
    title = f"{' and '.join(names)} killed, {seconds:g} s down"
    return Fault(title, lambda faulty: faulty.killed(*names), seconds, loses)


def frozen(seconds: float, *names: str) -> Fault:
    title = f"{' and '.join(names)} frozen for {seconds:g} s"
    return Fault(title, lambda faulty: faulty.frozen(*names), seconds, False)


def flushed(name: str) -> Fault:
    return Fault(f"{name} flushed", lambda faulty: at_once(faulty.flush, name), 0.0, True)


@contextmanager
def at_once(action: Callable[..., None], *arguments: str) -> Iterator[None]:
    action(*arguments)
    yield


CUT = Fault("all connections cut", lambda faulty: at_once(faulty.cut), 0.0, False)
DURABLE = (
    killed(0, CONTROL, loses=False),
    killed(0, FIRST, loses=False),
    CUT,
    killed(DOWN_S, CONTROL, loses=False),
    killed(DOWN_S, SECOND, loses=False),
    frozen(DOWN_S, CONTROL, FIRST),
)
VOLATILE = (
    killed(0, FIRST, loses=True),
    killed(0, CONTROL, loses=True),
    flushed(SECOND),
    killed(DOWN_S, CONTROL, FIRST, loses=True),
    killed(DOWN_S, SECOND, loses=True),
    flushed(CONTROL),
)


class Storm:
    """Two runs that go through faults, and what each said during each of these."""

    def __init__(self, faulty: FaultyCluster, start: Start, folder: Path) -> None:
        self.faulty = faulty
        self.folder = folder
        endpoints = faulty.cluster.endpoints
        self.downpour = start(*downpour(folder), endpoints=endpoints)
        self.sandblaster = start(*sandblaster(folder), endpoints=endpoints)
        self.said: dict[str, tuple[str, ...]] = {}
        self.workers: set[int] = set()

    @property
    def trainings(self) -> tuple[Any, Any]:
        return self.downpour, self.sandblaster

    def begin(self) -> None:
        """Wait until both runs train."""
        self.faulty.seconds_until_progress([training.run for training in self.trainings])
        self.workers = self.faulty.workers()

    @contextmanager
    def through(self, fault: Fault, until: Until) -> Iterator[None]:
        """A fault; after it, both runs must go on."""
        before = [training.err for training in self.trainings]

        def news() -> tuple[str, ...]:
            pairs = zip(self.trainings, before, strict=True)
            return tuple(training.err.removeprefix(text) for training, text in pairs)

        with fault.done(self.faulty):
            yield
        over = time.monotonic()
        if fault.loses:
            until(lambda: all(TAKEN_UP in text for text in news()), f"mended: {fault.name}")
        self.faulty.seconds_until_progress([training.run for training in self.trainings])
        print(f"{fault.name}: both runs went on within {time.monotonic() - over:.1f} s")
        self.said[fault.name] = news()

    def end(self) -> None:
        """Let both runs run to their ends."""
        clocks, losses = (
            self.faulty.clocks(self.downpour.run),
            self.faulty.losses(self.sandblaster.run),
        )
        print(f"after the faults: clocks {clocks} of {PLANNED}, {max(losses)} of {ITERATIONS}")
        assert max(clocks) < PLANNED, "over before the faults"
        assert max(losses) < ITERATIONS, "over before the faults"
        go(self.folder)


@pytest.fixture(scope="module")
def storms(
    durable: FaultyCluster,
    volatile: FaultyCluster,
    module_command: Start,
    tmp_path_factory: pytest.TempPathFactory,
    until: Until,
) -> dict[str, Storm]:
    """On both clusters at the same time: they mostly wait."""
    rigs = {"durable": durable, "volatile": volatile}
    storms = {
        name: Storm(faulty, module_command, tmp_path_factory.mktemp(name))
        for name, faulty in rigs.items()
    }
    for storm in storms.values():
        storm.begin()
    for kept, lost in zip(DURABLE, VOLATILE, strict=True):
        with storms["durable"].through(kept, until), storms["volatile"].through(lost, until):
            time.sleep(max(kept.seconds, lost.seconds))
    for storm in storms.values():
        storm.end()
    return storms


@pytest.fixture(params=["durable", "volatile"])
def storm(request: pytest.FixtureRequest, storms: dict[str, Storm]) -> Storm:
    return storms[request.param]


def test_every_push_of_downpour_counts_once_on_every_shard(storm: Storm) -> None:
    assert_exact(storm.downpour)
    assert storm.faulty.clocks(storm.downpour.run) == [PLANNED] * SHARDS


def test_sandblaster_gives_the_losses_and_the_model_of_an_undisturbed_run(
    storm: Storm, undisturbed: Minimised
) -> None:
    disturbed = minimised(storm.faulty, storm.sandblaster)
    assert disturbed.parameters == undisturbed.parameters
    # A control server that forgets forgets these, too; the last ones are there.
    assert ITERATIONS in disturbed.losses
    assert disturbed.losses.items() <= undisturbed.losses.items()


def test_no_worker_is_restarted(storm: Storm) -> None:
    assert storm.faulty.workers() == storm.workers


def test_servers_with_append_only_files_lose_nothing(storms: dict[str, Storm]) -> None:
    for training in storms["durable"].trainings:
        assert "lost" not in training.err
        assert "came back" not in training.err
    losses = storms["durable"].faulty.losses(storms["durable"].sandblaster.run)
    assert sorted(losses) == list(range(ITERATIONS + 1))


@pytest.mark.parametrize("fault", ["control flushed", "control killed, 0 s down"])
def test_a_control_server_that_forgot_is_recognised(storms: dict[str, Storm], fault: str) -> None:
    # By the coordinator, or by a worker that was the first to miss something.
    found = re.compile(r"^data lost: the control server (lost|does not know) ", re.MULTILINE)
    for text in storms["volatile"].said[fault]:
        assert found.search(text), text


@pytest.mark.parametrize(
    ("fault", "shards"),
    [
        ("parameters1 flushed", {"1"}),
        ("control and parameters0 killed, 5 s down", {"0", "2"}),
        ("parameters1 killed, 5 s down", {"1"}),
        ("parameters0 killed, 0 s down", {"0", "2"}),
    ],
)
def test_shards_that_forgot_come_back_from_a_checkpoint_and_what_is_lost_is_told(
    storms: dict[str, Storm], fault: str, shards: set[str]
) -> None:
    of_downpour, of_sandblaster = storms["volatile"].said[fault]
    back = re.findall(
        r"^shard (\d) came back from checkpoint \S+, \d+ updates; at least (\d+) were lost and "
        r"are made again$",
        of_downpour,
        re.MULTILINE,
    )
    assert {shard for shard, _ in back} == shards
    print(f"{fault}: updates lost at least {', '.join(lost for _, lost in back)}")
    assert re.search(
        r"^the vectors came back from checkpoint \S+, iteration \d+; \d+ iterations were lost and "
        r"are made again$",
        of_sandblaster,
        re.MULTILINE,
    )
