"""When checkpoints are written, which ones stay, and that training goes on meanwhile."""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import CheckpointError, Fenced, ModelMissing, ServerUnreachable
from distbelief.app.files.checkpoint import MANIFEST, names, read
from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.runs import checkpoints as module
from distbelief.coordinator.runs.checkpoints import Capture, Checkpoints

DEADLINE_S = 60.0
EVERY_S = 30.0
KEEP = 2

Reads = Callable[[], Iterator[tuple[str, Vector]]]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def vectors() -> Iterator[tuple[str, Vector]]:
    yield "params", np.arange(3.0)


@dataclass
class Desk:
    """Checkpoints, and all that they were asked and told."""

    checkpoints: Checkpoints
    clock: Clock
    said: list[str]
    captured: int = 0
    released: list[int] = field(default_factory=list)

    def capture(self, reads: Reads = vectors, rank: float | None = None) -> Callable[[], Capture]:
        """Notes when the state is captured, and when the servers may forget it again."""

        def capture_now() -> Capture:
            self.captured += 1
            number = self.captured
            return Capture({"number": number}, reads, lambda: self.released.append(number), rank)

        return capture_now

    def write(self, fence: int = 1, **capture: Any) -> Path | None:
        return self.checkpoints.write(fence, self.capture(**capture))

    @property
    def there(self) -> list[str]:
        return names(self.checkpoints.folder)

    @property
    def numbers(self) -> list[int]:
        """Which of the captured states are on the disk."""
        return [read(self.checkpoints.folder / name).document["number"] for name in self.there]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    clock, said = Clock(), list[str]()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    checkpoints = Checkpoints(tmp_path / "checkpoints", EVERY_S, KEEP, said.append)
    yield Desk(checkpoints, clock, said)
    checkpoints.close()


class Gate:
    """Vectors that are read when the test lets them."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> Iterator[tuple[str, Vector]]:
        self.reading.set()
        assert self.open.wait(DEADLINE_S)
        yield from vectors()


def until_written(desk: Desk) -> None:
    """Wait for the writer's thread; the coordinator has yet to hear of it."""
    writing = desk.checkpoints._writing
    assert writing is not None
    writing.future.exception(DEADLINE_S)


# --- one checkpoint


def test_a_checkpoint_has_the_state_of_the_moment_that_it_was_asked_for(desk: Desk) -> None:
    path = desk.write(rank=0.5)
    assert path == desk.checkpoints.folder / "000001-000001"
    saved = read(path)
    assert saved.document == {"number": 1, "rank": 0.5}
    assert saved.vector("params").tolist() == [0.0, 1.0, 2.0]
    assert (desk.released, desk.checkpoints.written) == ([1], 1)
    assert desk.said == []


def unreachable() -> Iterator[tuple[str, Vector]]:
    yield from ()
    raise ServerUnreachable("gone")


def test_each_that_is_written_is_an_event(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def tell(kind: str, **fields: Any) -> None:
        told.append((kind, fields))

    checkpoints = Checkpoints(tmp_path / "checkpoints", EVERY_S, KEEP, lambda _: None, tell)
    desk = Desk(checkpoints, Clock(), [])
    desk.write()
    assert checkpoints.write(1, desk.capture(unreachable)) is None
    assert told == [("checkpoint", {"name": "000001-000001"})]
    checkpoints.close()


def test_the_latest_one_is_found_by_whoever_goes_on(desk: Desk) -> None:
    desk.write()
    desk.write()
    other = Checkpoints(desk.checkpoints.folder, EVERY_S, KEEP, desk.said.append)
    assert other.latest().document["number"] == 2
    assert desk.said == []


def test_a_damaged_one_is_told_and_the_one_before_it_taken(desk: Desk) -> None:
    desk.write()
    second = desk.write()
    assert second is not None
    (second / "0.npy").write_bytes(b"")
    assert desk.checkpoints.latest().document["number"] == 1
    (why,) = desk.said
    assert str(second) in why
    assert why.endswith("trying the checkpoint before it")


def test_without_any_there_is_nothing_to_go_back_to(desk: Desk) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint to go back to in .*points"):
        desk.checkpoints.latest()


# --- names


def test_numbers_go_on_where_another_coordinator_ended(desk: Desk) -> None:
    desk.write(fence=1)
    other = Checkpoints(desk.checkpoints.folder, EVERY_S, KEEP, desk.said.append)
    assert other.write(2, desk.capture()) == desk.checkpoints.folder / "000002-000002"
    assert desk.write(fence=3) == desk.checkpoints.folder / "000003-000003"


def test_the_last_word_of_a_coordinator_that_was_taken_over_is_not_the_newest(desk: Desk) -> None:
    desk.write(fence=2)
    desk.write(fence=1)
    assert desk.checkpoints.latest().document["number"] == 1


def test_whoever_goes_on_knows_the_highest_fence_of_those_before(desk: Desk) -> None:
    """With a lower one its checkpoints would not be the newest, however new."""
    assert desk.checkpoints.highest_fence() == 0
    desk.write(fence=12)
    desk.write(fence=3)
    assert desk.checkpoints.highest_fence() == 12


def test_a_folder_that_somebody_else_put_there_is_in_nobodys_way(desk: Desk) -> None:
    (desk.checkpoints.folder / "000000-mine").mkdir(parents=True)
    assert desk.write() == desk.checkpoints.folder / "000001-000001"


# --- when they are due


def test_none_is_begun_before_its_time(desk: Desk) -> None:
    desk.clock.now += EVERY_S - 0.001
    desk.checkpoints.advance(1, desk.capture())
    assert desk.captured == 0
    desk.clock.now += 0.001
    desk.checkpoints.advance(1, desk.capture())
    assert desk.captured == 1


def test_training_goes_on_while_one_is_written(desk: Desk) -> None:
    gate = Gate()
    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture(gate))
    assert gate.reading.wait(DEADLINE_S)
    for _ in range(3):  # the coordinator looks around, and begins no other
        desk.clock.now += EVERY_S
        desk.checkpoints.advance(1, desk.capture())
    assert (desk.captured, desk.released, desk.there) == (1, [], [])
    gate.open.set()
    until_written(desk)
    desk.checkpoints.advance(1, desk.capture())
    assert (desk.captured, desk.released, desk.numbers) == (1, [1], [1])


def test_the_time_to_the_next_one_begins_with_the_end_of_the_last(desk: Desk) -> None:
    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture())
    until_written(desk)
    desk.clock.now += 100 * EVERY_S
    desk.checkpoints.advance(1, desk.capture())  # concludes the first
    desk.clock.now += EVERY_S - 0.001
    desk.checkpoints.advance(1, desk.capture())
    assert desk.captured == 1
    desk.clock.now += 0.001
    desk.checkpoints.advance(1, desk.capture())
    assert desk.captured == 2


def test_one_that_is_asked_for_waits_for_the_one_that_is_being_written(desk: Desk) -> None:
    gate = Gate()
    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture(gate))
    threading.Timer(0.01, gate.open.set).start()
    desk.write()
    assert (desk.numbers, desk.released) == ([1, 2], [1, 2])
    assert desk.checkpoints.written == 2


def test_settling_waits_for_the_one_that_is_being_written(desk: Desk) -> None:
    gate = Gate()
    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture(gate))
    threading.Timer(0.01, gate.open.set).start()
    desk.checkpoints.settle()
    assert (desk.numbers, desk.released) == ([1], [1])
    desk.checkpoints.settle()  # and for nothing if there is none


def test_closing_leaves_a_whole_one(desk: Desk) -> None:
    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture())
    desk.checkpoints.close()
    assert desk.numbers == [1]


# --- which ones stay


def test_the_last_ones_stay(desk: Desk) -> None:
    for _ in range(5):
        desk.write()
    assert desk.numbers == [4, 5]


def test_the_best_one_stays_beside_the_last(desk: Desk) -> None:
    for rank in (0.1, 0.9, 0.3, 0.2, 0.4):
        desk.write(rank=rank)
    assert desk.numbers == [2, 4, 5]
    desk.write(rank=0.95)
    desk.write(rank=0.1)
    assert desk.numbers == [6, 7]


def test_one_whose_rank_is_not_known_is_not_the_best(desk: Desk) -> None:
    for rank in (-7.0, None, None, None):
        desk.write(rank=rank)
    assert desk.numbers == [1, 3, 4]


def test_one_whose_rank_is_no_number_is_not_the_best(desk: Desk) -> None:
    for rank in (math.nan, 0.5, math.nan, 0.4, math.nan):
        desk.write(rank=rank)
    assert desk.numbers == [2, 4, 5]


def test_a_damaged_one_is_not_the_best(desk: Desk) -> None:
    best = desk.write(rank=0.9)
    assert best is not None
    desk.write(rank=0.5)
    (best / MANIFEST).write_text("{}")
    for _ in range(2):
        desk.write(rank=0.1)
    assert desk.numbers == [2, 3, 4]


# --- what cannot be written


FAILURES: list[Exception] = [
    OSError(errno.ENOSPC, "No space left on device"),
    ServerUnreachable("redis://a gave no answer within 2 s"),
    ModelMissing("shard 0 does not know this run"),
    Fenced("shard 0 is fenced"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_one_that_cannot_be_written_is_told_and_training_goes_on(
    desk: Desk, failure: Exception
) -> None:
    def fail() -> Iterator[tuple[str, Vector]]:
        yield "params", np.zeros(3)
        raise failure

    desk.write()
    assert desk.write(reads=fail) is None
    assert desk.said == [f"checkpoint 000001-000002 could not be written: {failure}"]
    assert (desk.numbers, desk.checkpoints.written) == ([1], 1)
    assert desk.released == [1, 2]
    desk.write()
    assert desk.numbers == [1, 3]


def test_a_failure_in_the_background_is_told_as_well_and_tried_again_in_time(desk: Desk) -> None:
    def fail() -> Iterator[tuple[str, Vector]]:
        yield from ()
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    desk.clock.now += EVERY_S
    desk.checkpoints.advance(1, desk.capture(fail))
    until_written(desk)
    desk.checkpoints.advance(1, desk.capture())
    assert len(desk.said) == 1
    assert "Disk quota exceeded" in desk.said[0]
    desk.clock.now += EVERY_S - 0.001
    desk.checkpoints.advance(1, desk.capture())
    assert desk.captured == 1
    desk.clock.now += 0.001
    desk.checkpoints.advance(1, desk.capture())
    until_written(desk)
    assert desk.numbers == [2]


def test_a_mistake_of_ours_is_not_hidden(desk: Desk) -> None:
    def fail() -> Iterator[tuple[str, Vector]]:
        yield from ()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.write(reads=fail)


def test_what_cannot_be_captured_is_the_drivers_to_mend(desk: Desk) -> None:
    def lost() -> Capture:
        raise ModelMissing("shard 0 does not know this run")

    desk.clock.now += EVERY_S
    for ask in (lambda: desk.checkpoints.advance(1, lost), lambda: desk.checkpoints.write(1, lost)):
        with pytest.raises(ModelMissing):
            ask()
    assert desk.write() is not None
