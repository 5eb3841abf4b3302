"""A coordinator dies with all that it has started: its run goes on from its folder alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.files import checkpoint
from tests.cluster.faults.paced import (
    Minimised,
    assert_exact,
    downpour,
    go,
    model_of,
    resumed,
    runs_folder,
    sandblaster,
)

Start = Callable[..., Any]
Until = Callable[..., None]

ALGORITHMS = ("downpour", "sandblaster")
EMBEDDED = ("--servers=3", "--processes=2", "--durability=aof")
#: Checkpoints of a life: its first one comes before any training.
CHECKPOINTS = 2

Life = dict[str, Any]


def checkpoints(training: Any) -> Path:
    folder: Path = runs_folder(training) / training.run / "checkpoints"
    return folder


def lives(life: Life, fence: int, until: Until) -> None:
    """Wait until both runs have trained for a while."""
    began = time.monotonic()
    for training in life.values():

        def own(training: Any = training) -> list[str]:
            names = checkpoint.names(checkpoints(training))
            return [name for name in names if name.startswith(f"{fence:06d}-")]

        until(lambda own=own: len(own()) >= CHECKPOINTS, f"checkpoints of fence {fence}")
    print(
        f"fence {fence}: {CHECKPOINTS} checkpoints of both {time.monotonic() - began:.1f} s after"
    )


def die(life: Life, until: Until) -> None:
    """Kill both coordinators; the kernel kills their servers and workers."""
    for training in life.values():
        training.process.kill()
        training.ends()
    for training in life.values():
        until(lambda training=training: not training.alive(), "the end of all processes")


def damage_newest(training: Any) -> str:
    """Flip a bit in the newest checkpoint; its name."""
    newest = checkpoint.names(checkpoints(training))[-1]
    file = checkpoints(training) / newest / "0.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    return newest


@pytest.fixture(scope="module")
def embedded(
    module_command: Start, tmp_path_factory: pytest.TempPathFactory, until: Until
) -> tuple[list[Life], dict[str, str]]:
    """Four lives of a run of each algorithm, and the checkpoint that was damaged before the third.

    The second has the same servers, the third one instead of three, the fourth three again.
    """
    folder = tmp_path_factory.mktemp("paced")
    words = (downpour(folder), sandblaster(folder))
    first = {
        name: module_command(*each, *EMBEDDED) for name, each in zip(ALGORITHMS, words, strict=True)
    }
    all_lives, damaged = [first], {}
    for fence, servers in enumerate(((), ("--servers=1",), ("--servers=3",)), start=2):
        life = all_lives[-1]
        lives(life, fence - 1, until)
        die(life, until)
        if fence == 3:
            damaged = {name: damage_newest(training) for name, training in life.items()}
        all_lives.append(
            {name: resumed(module_command, life[name], *servers) for name in ALGORITHMS}
        )
    lives(all_lives[-1], 4, until)
    go(folder)
    return all_lives, damaged


def test_every_push_of_downpour_counts_once_on_every_shard(embedded: Any) -> None:
    assert_exact(embedded[0][-1]["downpour"])


def test_sandblaster_gives_the_model_of_an_undisturbed_run(
    embedded: Any, undisturbed: Minimised
) -> None:
    assert model_of(embedded[0][-1]["sandblaster"]) == undisturbed.parameters


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_append_only_files_make_checkpoints_needless(embedded: Any, algorithm: str) -> None:
    second = embedded[0][1][algorithm]
    assert "taken up under fence 2" in second.err
    assert "came back" not in second.err


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("life", "servers"), [(2, 1), (3, 3)])
def test_another_number_of_servers_takes_the_run_from_a_checkpoint(
    embedded: Any, algorithm: str, life: int, servers: int
) -> None:
    training = embedded[0][life][algorithm]
    assert f"in 3 shards on {servers} servers" in training.err
    assert re.search(rf"came back from checkpoint {life:06d}-\d{{6}}", training.err)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    embedded: Any, algorithm: str
) -> None:
    lives_, damaged = embedded
    third, name = lives_[2][algorithm].err, damaged[algorithm]
    assert re.search(rf"{name}/0\.npy .*damaged: .*trying the checkpoint before it", third)
    before = f"{name[:7]}{int(name[7:]) - 1:06d}"
    assert f"came back from checkpoint {before}" in third
