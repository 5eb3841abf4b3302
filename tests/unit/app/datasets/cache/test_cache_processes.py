"""The cache among several processes, some of them killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distbelief.app.datasets.cache.opening import open_cached

FILES = ("features.npy", "targets.npy", "statistics.npy", "meta.json")

Child = subprocess.Popen[str]
Start = Callable[[float], Child]

#: Opens the cached data set, noting each conversion; conversions take their time.
CHILD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from distbelief.app.datasets.cache import conversion, opening
    from distbelief.app.datasets.examples import stored

    folder, log, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

    def slowly(write):
        def slow_write(*words):
            with log.open("a") as lines:
                lines.write("converting\\n")
            write(*words)
            time.sleep(seconds)

        return slow_write

    write = conversion._StreamConversion.write
    stored.write, conversion._StreamConversion.write = slowly(stored.write), slowly(write)
    print("ready", flush=True)
    sys.stdin.readline()
    dataset = opening.open_cached(sys.argv[4], {}, folder)
    dataset.validate()
    print(dataset.fingerprint)
    """
)


@pytest.fixture(params=["synthetic:softmax", "some.csv"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One that is made, and one that is read as a stream."""
    if request.param != "some.csv":
        return str(request.param)
    path = tmp_path_factory.mktemp("files") / "some.csv"
    path.write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(1000)))
    return str(path)


@pytest.fixture
def fingerprint(source: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return open_cached(source, {}, tmp_path_factory.mktemp("other-cache")).fingerprint


@pytest.fixture
def start(source: str, tmp_path: Path) -> Iterator[Start]:
    """Start processes that wait for a line on stdin, and clean up after them."""
    children = []

    def start_child(seconds: float) -> Child:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path, tmp_path / "log", str(seconds), source],
            cwd=Path(__file__).parents[5],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        return child

    yield start_child
    for child in children:
        child.kill()
        child.communicate()


def go(child: Child) -> None:
    assert child.stdin
    child.stdin.write("go\n")
    child.stdin.flush()


def complete_folder(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_processes_that_start_together_convert_once(
    tmp_path: Path, start: Start, fingerprint: str
) -> None:
    children = [start(0.3) for _ in range(4)]
    for child in children:
        go(child)
    assert {child.communicate()[0].strip() for child in children} == {fingerprint}
    assert (tmp_path / "log").read_text() == "converting\n"


def test_nobody_sees_half_a_cache(tmp_path: Path, start: Start) -> None:
    child = start(0.2)
    go(child)
    while child.poll() is None:
        for folder in tmp_path.iterdir():
            if folder.is_dir() and folder.suffix != ".partial":
                assert {path.name for path in folder.iterdir()} == set(FILES)
        time.sleep(0.002)
    assert child.returncode == 0
    assert complete_folder(tmp_path).suffix == ""


def test_a_conversion_that_was_killed_is_taken_over(
    tmp_path: Path, start: Start, fingerprint: str
) -> None:
    killed, waiting, log = start(60), start(0), tmp_path / "log"
    go(killed)
    # It is opened before it is written.
    wait_for(lambda: log.exists() and log.read_text() != "")
    go(waiting)
    killed.send_signal(signal.SIGKILL)
    assert waiting.communicate()[0].strip() == fingerprint
    assert (tmp_path / "log").read_text() == "converting\n" * 2
    assert complete_folder(tmp_path).suffix == ""  # what the killed one left is gone
