"""A checkpoint is there in full or not at all, whatever happens to its writer or to its files."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.errors import CheckpointError, ModelMissing
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import MANIFEST, latest, manifest, names, prune, read, write
from distbelief.app.layout.tensors import Vector
from tests.unit.app.files import killed_writer
from tests.unit.app.files.killed_writer import CALLS

REPOSITORY = Path(__file__).parents[4]
DEADLINE_S = 100.0
DOCUMENT = {"driver": {"seconds": 1.25, "best": None}, "shards": [{"start": 0, "stop": 3}]}
VECTORS = {
    "params": np.array([1.0, -0.0, np.pi]),
    "slot:adagrad": np.array([0.1, 1e-30, 3e38], np.float32),
    "vec:../best": np.array([np.nan, -np.inf, 5e-324]),
}

Refused = list[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two checkpoints of different contents."""
    folder = tmp_path / "run" / "checkpoints"
    write(folder, "1", {"number": 1}, [("params", np.zeros(3))])
    write(folder, "2", DOCUMENT, VECTORS.items())
    return folder


def newest(folder: Path) -> tuple[str, Refused]:
    """The name of the checkpoint that is used, and what was said of others."""
    refused: Refused = []
    found = latest(folder, refused.append)
    assert found is not None
    return found.path.name, refused


# --- round trips


def test_a_checkpoint_is_read_as_it_was_written(folder: Path) -> None:
    saved = read(folder / "2")
    assert saved.document == DOCUMENT
    assert list(saved.files) == list(VECTORS)
    for name, vector in VECTORS.items():
        assert name in saved
        assert saved.vector(name).dtype == vector.dtype
        assert saved.vector(name).tobytes() == vector.tobytes()
    assert "best" not in saved


def test_a_checkpoint_without_vectors_is_one_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, "1", {}, [])
    assert (read(path).document, read(path).files) == ({}, {})


def test_a_document_comes_back_as_json_has_it(tmp_path: Path) -> None:
    path = write(tmp_path, "1", {"staleness": {3: 7}, "pair": (1, 2)}, [])
    assert read(path).document == {"staleness": {"3": 7}, "pair": [1, 2]}


def test_the_manifest_alone_is_read_without_the_vectors(folder: Path) -> None:
    for file in folder.glob("2/*.npy"):
        file.unlink()
    assert manifest(folder / "2")["document"] == DOCUMENT
    assert list(manifest(folder / "2")["vectors"]) == list(VECTORS)


def test_a_checkpoint_lies_in_its_folder_whatever_its_vectors_are_called(folder: Path) -> None:
    assert write(folder, "3", {}, VECTORS.items()) == folder / "3"
    assert names(folder) == ["1", "2", "3"]
    assert sorted(path.name for path in (folder / "3").iterdir()) == [
        "0.npy",
        "1.npy",
        "2.npy",
        MANIFEST,
    ]


def test_a_vector_is_written_before_the_next_one_is_asked_for(tmp_path: Path) -> None:
    """A model may be larger than half of the memory."""

    def vectors() -> Iterator[tuple[str, Vector]]:
        for number in range(3):
            written = list((tmp_path / ".1.partial").iterdir())
            assert [path.stat().st_size > 8000 for path in written] == [True] * number
            yield f"{number}", np.zeros(1000)

    write(tmp_path, "1", {}, vectors())


def test_everything_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power failure would find: files are forced before the rename, folders around it."""
    happened: list[str | set[int]] = []
    fsync, rename = os.fsync, Path.rename

    def forced(descriptor: int) -> None:
        happened.append({os.fstat(descriptor).st_ino})
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        inodes = {path.stat().st_ino for path in [self, *self.iterdir()]}
        happened.append(inodes)
        happened.append("renamed")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", forced)
    monkeypatch.setattr(Path, "rename", renamed)
    write(tmp_path, "1", DOCUMENT, VECTORS.items())
    at = happened.index("renamed")
    needed = happened[at - 1]
    before = {inode for each in happened[: at - 1] for inode in each}
    assert needed == before
    assert happened[at + 1 :] == [{tmp_path.stat().st_ino}]


# --- writers that end in the middle


def test_a_writer_killed_at_any_point_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    program = [sys.executable, killed_writer.__file__, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        program, env=environment, capture_output=True, text=True, check=True, timeout=DEADLINE_S
    )
    points = int(ran.stdout)
    assert points >= 50
    survivors = [assert_whole(tmp_path / str(point)) for point in range(points)]
    # First the old one, from the rename on the new one.
    assert survivors == sorted(survivors)
    assert set(survivors) == {"first", "second"}


def assert_whole(folder: Path) -> str:
    """A killed writer has left one whole checkpoint or two, and a new writer can go on."""
    name, refused = newest(folder)
    assert refused == []
    assert names(folder) == ["first", "second"][: 1 + (name == "second")]
    saved, number = read(folder / name), {"first": 1, "second": 2}[name]
    assert saved.document == killed_writer.document(number)
    for vector_name, vector in killed_writer.vectors(number):
        assert saved.vector(vector_name).tobytes() == vector.tobytes()
    write(folder, "third", {}, [])
    prune(folder, ["third"])
    assert [path.name for path in folder.iterdir()] == ["third"]
    return name


class FullDisk:
    """Lets the n-th call that needs room fail."""

    def __init__(self, call: int) -> None:
        self.left = call

    def __call__(self, frame: object, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in CALLS - {"close", "rmdir", "unlink"}:
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_at_any_point_leaves_nothing_behind(folder: Path) -> None:
    left, numbers = [], set()
    for call in itertools.count(1):  # call 0 is for the folder, which is there
        sys.setprofile(FullDisk(call))
        try:
            write(folder, "3", DOCUMENT, VECTORS.items())
            break
        except OSError as error:
            numbers.add(error.errno)
        finally:
            sys.setprofile(None)
        assert newest(folder) == (names(folder)[-1], [])
        left.append(sorted(path.name for path in folder.iterdir()))
        prune(folder, ["1", "2"])
    assert numbers == {errno.ENOSPC}
    assert left[:20] == [["1", "2"]] * 20
    # The last two calls force the new name to the disk: what has it is whole.
    assert left == [["1", "2"]] * (len(left) - 2) + [["1", "2", "3"]] * 2


def test_a_full_disk_in_the_middle_of_a_vector_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(file: Any, vector: Vector, allow_pickle: bool) -> None:
        file.write(vector.tobytes()[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(OSError, match="No space left"):
        write(folder, "3", DOCUMENT, VECTORS.items())
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_vector_that_cannot_be_read_leaves_nothing_behind(folder: Path) -> None:
    def vectors() -> Iterator[tuple[str, Vector]]:
        yield "params", np.zeros(3)
        raise ModelMissing("shard 0 does not know this run")

    with pytest.raises(ModelMissing):
        write(folder, "3", DOCUMENT, vectors())
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_what_another_killed_writer_left_is_in_nobodys_way_for_long(folder: Path) -> None:
    (folder / ".3.partial").mkdir()
    (folder / ".3.partial" / "0.npy").write_bytes(b"half")
    assert newest(folder) == ("2", [])
    with pytest.raises(FileExistsError):  # whose it is is not known, so it may be at work
        write(folder, "3", {}, [])
    assert read(write(folder, "3", {}, [])).document == {}


def test_a_checkpoint_is_never_written_over(folder: Path) -> None:
    with pytest.raises(OSError, match="not empty"):
        write(folder, "2", {"number": 7}, [])
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    assert read(folder / "2").document == DOCUMENT


# --- files that were damaged


def files_of(path: Path) -> list[Path]:
    return sorted(path.iterdir())


def assert_refused(folder: Path) -> None:
    """The newest one is damaged: it says so and is not used."""
    with pytest.raises(CheckpointError, match=str(folder / "2")):
        read(folder / "2")
    name, (why,) = newest(folder)
    assert name == "1"
    assert str(folder / "2") in why


@pytest.mark.parametrize("number", range(len(VECTORS) + 1))
def test_a_flipped_bit_anywhere_is_refused(folder: Path, number: int) -> None:
    file = files_of(folder / "2")[number]
    whole = file.read_bytes()
    chance = random.Random(number)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        assert_refused(folder)
    file.write_bytes(whole)
    assert newest(folder) == ("2", [])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "a byte too short": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}


@pytest.mark.parametrize("number", range(len(VECTORS) + 1))
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(folder: Path, number: int, damage: str) -> None:
    DAMAGES[damage](files_of(folder / "2")[number])
    assert_refused(folder)


def test_files_of_another_checkpoint_are_refused(folder: Path) -> None:
    (folder / "2" / "0.npy").write_bytes((folder / "1" / "0.npy").read_bytes())
    assert_refused(folder)


@pytest.mark.parametrize(
    "text", ["null", "[]", "{}", '{"body": 3}', '{"body": {}, "sha256": "0"}', "\udcff{}"]
)
def test_what_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "2" / MANIFEST).write_text(text, encoding="utf-8", errors="surrogateescape")
    assert_refused(folder)


def test_a_body_that_is_no_manifest_is_refused_though_its_digest_fits(folder: Path) -> None:
    for body in cast("list[object]", [3, None, [], {}]):
        text = {"body": body, "sha256": checkpoint._digest_of(body)}
        (folder / "2" / MANIFEST).write_text(json.dumps(text))
        assert_refused(folder)


def test_a_checkpoint_of_another_format_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", "distbelief-checkpoint-2")
    with pytest.raises(
        CheckpointError,
        match="has the format distbelief-checkpoint-1, expected distbelief-checkpoint-2",
    ):
        read(folder / "2")


def test_when_all_are_damaged_there_is_none_and_each_is_said(folder: Path) -> None:
    for name in ("1", "2"):
        (folder / name / "0.npy").unlink()
    refused: Refused = []
    assert latest(folder, refused.append) is None
    assert ["/2/" in refused[0], "/1/" in refused[1]] == [True, True]
    assert len(refused) == 2


# --- folders


def test_names_are_in_the_order_of_time(tmp_path: Path) -> None:
    for name in ("000002-000010", "000001-000011", "000002-000009"):
        write(tmp_path, name, {}, [])
    assert names(tmp_path) == ["000001-000011", "000002-000009", "000002-000010"]
    assert newest(tmp_path) == ("000002-000010", [])


def test_a_folder_that_is_not_there_has_no_checkpoints(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    refused: Refused = []
    assert names(nowhere) == []
    assert latest(nowhere, refused.append) is None
    assert refused == []
    prune(nowhere, ["1"])
    assert not nowhere.exists()


def test_pruning_leaves_what_is_kept_and_nothing_else(folder: Path) -> None:
    write(folder, "3", {}, VECTORS.items())
    (folder / ".4.partial").mkdir()
    (folder / ".4.partial" / "0.npy").write_bytes(b"half")
    prune(folder, ["3", "1", "7"])
    assert sorted(path.name for path in folder.iterdir()) == ["1", "3"]
    assert newest(folder) == ("3", [])


def test_pruning_takes_damaged_ones_as_well(folder: Path) -> None:
    (folder / "1" / MANIFEST).unlink()
    prune(folder, ["2"])
    assert names(folder) == ["2"]
