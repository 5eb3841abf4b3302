"""Whatever file a client hands over, and does to it meanwhile: the server answers, and is whole."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import redis

from distbelief.app.client.wire import Argument
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.native import sanitizer
from tests.redis.private import PrivateServer
from tests.redis.store.native.test_fuzz import ODD, alive

BYTES = 1 << 16
CALLS = 100

#: A call of each command that takes a file, without what it says of it.
COMMANDS: list[list[Argument]] = [
    ["distbelief.fetch", 2, "meta", "vector", 1, 0, 0, 0, 0, ""],
    ["distbelief.push_sgd", 2, "meta", "vector", 1, 0, 1, 1, 0, "", "0", "", "0.1", "0", ""],
    [
        *("distbelief.push_rows_sgd", 2, "meta", "table", 1, 0, 1, 1, 0, ""),
        *("0,1,4,0,0,0,0,0,0", "", "0.1", "0", ""),
    ],
    ["distbelief.accumulate", 3, "meta", "counted", "sum", 1, 1, 0, 0, 0, 16, ""],
]
FETCH, STEP, *_ = COMMANDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrays")


@pytest.fixture(scope="module")
def server(program: ServerProgram, sanitized_module: Path, folder: Path) -> Iterator[PrivateServer]:
    module = ["--loadmodule", str(sanitized_module), "shared", str(folder)]
    options = [*module, "--crash-log-enabled", "no"]
    with (
        sanitizer() as environment,
        PrivateServer(program, options=options, environment=environment) as server,
    ):
        yield server


@pytest.fixture
def shard(server: PrivateServer) -> Iterator[redis.Redis]:
    with alive(server) as client:
        client.hset("meta", mapping={"fence": 1, "dtype": "f", "clock": 0, "evaluation": 1})
        client.hset("vector", "0", bytes(BYTES))
        yield client


@pytest.fixture
def files(folder: Path, tmp_path: Path) -> Path:
    """A file that may be handed over, and others that may not."""
    outside = tmp_path / "outside"
    for path in (outside, folder / "array", folder / "one", folder / "UPPER"):
        path.write_bytes(bytes(BYTES))
    with contextlib.suppress(FileExistsError):
        os.link(folder / "one", folder / "other")
        os.mkfifo(folder / "pipe")
        (folder / "folder").mkdir()
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(outside)
    (folder / "theirs").write_bytes(bytes(BYTES))
    if os.geteuid() == 0:
        os.chown(folder / "theirs", 65534, 65534)
    return folder


def answer(client: redis.Redis, *words: Argument) -> object:
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        return str(error).split()[0]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../outside", "/etc/passwd", "nowhere", "a" * 65, "a" * 4000, "UPPER", "a\0b"]
    + ["link", "pipe", "folder", "one", "other"]
    + (["theirs"] if os.geteuid() == 0 else []),
)
def test_a_file_that_is_not_the_clients_own_is_refused(
    shard: redis.Redis, files: Path, name: str
) -> None:
    assert answer(shard, "distbelief.shared", name) == "NOTSHARED"
    for words in COMMANDS:
        assert answer(shard, *words, name, 0, 64, BYTES) == "NOTSHARED"
    assert shard.hgetall("vector") == {b"0": bytes(BYTES)}
    assert not shard.exists("sum", "counted", "table")


@pytest.mark.parametrize(
    ("place", "answered"),
    [
        ((1, BYTES, 0), "NOTSHARED"),
        ((0, 0, BYTES + 1), "NOTSHARED"),
        ((2 * BYTES, 0, 0), "NOTSHARED"),
        ((2**48, 2**29, 2**29), "NOTSHARED"),
        ((2**62, 2**62, 2**62), "BADARG"),
        ((-1, 64, 64), "BADARG"),
        ((0, 2**40, 0), "BADARG"),
        ((0, 64), "BADARG"),
        ((0, 64, 64, 64), "BADARG"),
    ],
)
def test_a_place_that_is_not_in_the_file_is_refused(
    shard: redis.Redis, files: Path, place: tuple[int, ...], answered: str
) -> None:
    for words in COMMANDS:
        assert answer(shard, *words, "array", *place) == answered


def test_odd_words_about_a_file_are_answered(shard: redis.Redis, files: Path) -> None:
    random = np.random.default_rng(0)
    near: list[Argument] = ["array", "0", "64", "65536", *ODD]
    for _ in range(CALLS):
        words = COMMANDS[random.integers(len(COMMANDS))]
        place = [near[each] for each in random.integers(0, len(near), random.integers(1, 6))]
        answer(shard, *words, *place)


def test_a_file_that_is_changed_and_cut_off_meanwhile_does_no_harm(
    shard: redis.Redis, files: Path
) -> None:
    """What a push makes of it is finite, or it is refused."""
    over = threading.Event()

    def change() -> None:
        random = np.random.default_rng(1)
        while not over.is_set():
            os.truncate(files / "array", int(random.integers(0, 2)) * BYTES)
            with (files / "array").open("r+b") as file:
                file.write(random.bytes(BYTES))

    thread = threading.Thread(target=change)
    thread.start()
    answers = set[str]()
    try:
        for number in range(1, CALLS + 1):
            step: list[Argument] = [*STEP[:7], number, 1, *STEP[9:]]
            answers.add(str(answer(shard, *step, "array", 0, BYTES, BYTES))[:12])
            answer(shard, *FETCH, "array", 0, 0, BYTES)
            stored = np.frombuffer(cast("bytes", shard.hget("vector", "0")), "<f4")
            assert len(stored) == BYTES // 4
            assert np.isfinite(stored).all()
    finally:
        over.set()
        thread.join()
    assert answers <= {"NOTSHARED", "[b'APPLIED',", "[b'REFUSED',", "[b'GAP', 0, ", *gaps()}


def gaps() -> set[str]:
    """What is said after a push that was not taken, as the next one is one too far."""
    return {f"[b'GAP', {clock}, "[:12] for clock in range(CALLS)}


@pytest.mark.parametrize("words", [["shared", "OPEN"], ["shared", "nowhere"], ["folder", "x"]])
def test_a_server_does_not_start_with_a_folder_that_cannot_be_shared(
    program: ServerProgram, native_module: Path, tmp_path: Path, words: list[str]
) -> None:
    tmp_path.chmod(0o777)
    said = [str(tmp_path) if word == "OPEN" else word for word in words]
    command = [program.path, "--port", "0", "--loadmodule", str(native_module), *said]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert re.search("no folder to share|takes no arguments but: shared FOLDER", ended.stdout)
