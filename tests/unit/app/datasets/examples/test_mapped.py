"""Large arrays in files are read as if they were in memory, and take none."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples import mapped
from distbelief.app.datasets.examples.mapped import FileArray, gathered, open_arrays

N_ROWS = 50
SHAPES = [(N_ROWS,), (N_ROWS, 3)]


@pytest.fixture(scope="module", params=SHAPES, ids=["flat", "rows"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[np.ndarray, FileArray]:
    """An array, and the same in a file."""
    array = np.random.default_rng(0).normal(size=request.param).astype(np.float32)
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    np.save(path, array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "MAPPED_BYTES", 0)
        (opened,) = open_arrays([path])
    assert isinstance(opened, FileArray)
    return array, opened


def test_it_has_the_shape_of_the_array(pair: tuple[np.ndarray, FileArray]) -> None:
    array, opened = pair
    assert (opened.shape, opened.dtype, len(opened)) == (array.shape, array.dtype, N_ROWS)


@given(rows=st.lists(st.integers(0, N_ROWS - 1), max_size=20))
def test_rows_are_those_of_the_array(pair: tuple[np.ndarray, FileArray], rows: list[int]) -> None:
    array, opened = pair
    assert np.array_equal(opened[np.array(rows, np.int64)], array[np.array(rows, np.int64)])


@given(rows=st.slices(N_ROWS))
def test_slices_are_those_of_the_array(pair: tuple[np.ndarray, FileArray], rows: slice) -> None:
    array, opened = pair
    assert np.array_equal(opened[rows], array[rows])


@given(ranges=st.lists(st.tuples(st.integers(0, N_ROWS), st.integers(0, 9)), max_size=9))
def test_ranges_follow_one_another(
    pair: tuple[np.ndarray, FileArray], ranges: list[tuple[int, int]]
) -> None:
    array, opened = pair
    starts = np.array([start for start, _ in ranges], np.int64)
    stops = np.minimum(starts + np.array([size for _, size in ranges], np.int64), N_ROWS)
    pieces = [array[a:b] for a, b in zip(starts, stops, strict=True)]
    expected = np.concatenate([array[:0], *pieces])
    found = gathered((opened, array), starts, stops)
    found += gathered((array, array), starts, stops)
    assert all(np.array_equal(each, expected) for each in found)


def test_what_lies_together_is_read_at_once(
    pair: tuple[np.ndarray, FileArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, opened = pair
    reads: list[int] = []
    read = FileArray._read_into

    def noted(array: FileArray, buffer: memoryview, offset: int) -> None:
        reads.append(len(buffer))
        read(array, buffer, offset)

    monkeypatch.setattr(FileArray, "_read_into", noted)
    opened[np.arange(40, 0, -3)]
    assert len(reads) == 1
    opened[np.array([0, N_ROWS - 1])]
    assert len(reads) == 3


def test_small_arrays_are_memory_maps(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    (opened,) = open_arrays([tmp_path / "a.npy"])
    assert isinstance(opened.base, np.memmap)
    assert not opened.flags.writeable


def test_arrays_without_rows_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 3)))
    np.save(tmp_path / "b.npy", np.zeros(9))
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1)
    empty, _ = open_arrays([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert empty[:].shape == (0, 3)


def test_a_file_that_was_cut_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 0)
    np.save(tmp_path / "a.npy", np.arange(1000))
    (opened,) = open_arrays([tmp_path / "a.npy"])
    with (tmp_path / "a.npy").open("r+b") as stream:
        stream.truncate(500)
    with pytest.raises(EOFError):
        opened[:]


READER = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from distbelief.app.datasets.examples import mapped

    mapped.MAPPED_BYTES = 1 << 20
    (array,) = mapped.open_arrays([Path(sys.argv[1])])
    array[np.arange(64)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    random = np.random.default_rng(0)
    total = sum(float(array[random.integers(0, len(array), 64)].sum()) for _ in range(4000))
    total += sum(float(array[i : i + 1024].sum()) for i in range(0, len(array), 1024))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
)


def test_reading_all_of_a_large_array_takes_no_memory(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (200_000, 100))
    array[:] = 1
    array.flush()
    done = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / "a.npy"],
        cwd=Path(__file__).parents[5],
        capture_output=True,
        text=True,
        check=True,
    )
    assert array.nbytes > 75e6
    assert int(done.stdout) * 1024 < 10e6
