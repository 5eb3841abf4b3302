"""Images and labels in the format of MNIST: read, refused, cached."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.sources.source import File
from distbelief.app.errors import DataError
from tests.unit.app.datasets.loading import features_only, load

Bytes = npt.NDArray[np.uint8]

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
LABELS = np.array([0, 2, 1, 2, 0], np.uint8)

NAMES = {
    "plain": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    "gzipped": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    "with dots": ("images.idx3-ubyte", "labels.idx1-ubyte"),
}
MNIST = Path(__file__).parents[6] / "shared" / "data" / "mnist10k" / NAMES["gzipped"][0]

Write = Callable[..., str]


def idx(values: Bytes) -> bytes:
    """The format, from its description alone."""
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def packed(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(params=NAMES)
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    return NAMES[request.param]


@pytest.fixture
def write(tmp_path: Path, names: tuple[str, str]) -> Write:
    """Writes images and labels, and gives the path of the images."""

    def write_both(images: Bytes = IMAGES, labels: Bytes = LABELS) -> str:
        for name, values in zip(names, (images, labels), strict=True):
            packed(tmp_path / name, idx(values))
        return str(tmp_path / names[0])

    return write_both


def refuses(complaint: str) -> pytest.RaisesExc[DataError]:
    return pytest.raises(DataError, match=re.escape(complaint))


# --- read


def test_pixels_are_shares_of_255(write: Write) -> None:
    dataset = load(write(), {})
    assert dataset.features.dtype == np.float32
    expected = (IMAGES.reshape(5, 12) / 255).astype(np.float32)
    assert dataset.features.tolist() == expected.tolist()


def test_labels_are_those_beside_the_images(write: Write) -> None:
    dataset = load(write(), {})
    assert dataset.targets.tolist() == LABELS.tolist()
    assert dataset.targets.dtype == np.int64
    assert dataset.n_classes == 3


def test_classes_that_do_not_occur_can_be_announced(write: Write) -> None:
    assert load(write(), {"classes": 10}).n_classes == 10


def test_a_folder_that_is_called_as_the_images_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "images-idx3-ubyte"
    folder.mkdir()
    packed(folder / "images-idx3-ubyte", idx(IMAGES))
    packed(folder / "labels-idx1-ubyte", idx(LABELS))
    assert load(str(folder / "images-idx3-ubyte"), {}).n_examples == 5


def test_images_to_predict_from_need_no_labels(write: Write, tmp_path: Path) -> None:
    images = write()
    for path in tmp_path.glob("*labels*"):
        path.unlink()
    assert np.array_equal(features_only(images), (IMAGES.reshape(5, 12) / 255).astype(np.float32))


@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST files are not there")
def test_the_digits_of_mnist_are_read() -> None:
    dataset = load(str(MNIST), {})
    assert dataset.features.shape == (10_000, 784)
    assert (dataset.features.min(), dataset.features.max()) == (0, 1)
    # The first ten labels of the test set, and the counts of each digit in it.
    assert dataset.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(dataset.targets).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip


# --- refused


def test_missing_labels_are_named(write: Write, tmp_path: Path, names: tuple[str, str]) -> None:
    images = write()
    (tmp_path / names[1]).unlink()
    with refuses(f"{tmp_path / names[1]}: there is no such file"):
        load(images, {})


def test_missing_images_are_named(write: Write, tmp_path: Path, names: tuple[str, str]) -> None:
    images = write()
    (tmp_path / names[0]).unlink()
    with refuses(f"{images}: there is no such file"):
        load(images, {})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "this is no IDX file of unsigned bytes in 3 dimensions, it begins with nothing"),
        (b"\0\0", "it begins with 00 00"),
        (idx(LABELS), "in 3 dimensions, it begins with 00 00 08 01"),
        (b"\0\0\x0d\3" + idx(IMAGES)[4:], "of unsigned bytes in 3 dimensions, it begins with 00"),
        (b"PK\3\4 a zip file", "it begins with 50 4b 03 04"),
        (idx(IMAGES)[:15], "the file is cut short in its first 16 bytes"),
        (idx(IMAGES)[:-1], "the file announces 5 x 4 x 3 bytes and holds 59"),
        (idx(IMAGES) + b"\0", "the file announces 5 x 4 x 3 bytes and holds "),
        (
            b"\0\0\x08\3" + b"\xff" * 12 + b"few",
            "the file announces ",
        ),
    ],
)
def test_a_file_that_holds_no_images_is_refused(
    write: Write, names: tuple[str, str], content: bytes, complaint: str
) -> None:
    images = write()
    packed(Path(images), content)
    with refuses(complaint) as raised:
        load(images, {})
    assert str(raised.value).startswith(f"{images}: ")


def test_images_in_the_place_of_labels_are_refused(write: Write, tmp_path: Path) -> None:
    images = write(labels=IMAGES)
    with refuses("labels") as raised:
        load(images, {})
    assert "no IDX file of unsigned bytes in 1 dimensions" in str(raised.value)


def test_different_counts_are_refused(write: Write) -> None:
    with refuses("features and targets must have equally many rows, got 5 and 4"):
        load(write(labels=LABELS[:4]), {})


def test_no_images_at_all_are_refused(write: Write) -> None:
    with refuses("there are no examples"):
        load(write(IMAGES[:0], LABELS[:0]), {})


def test_a_plain_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    images, labels = (tmp_path / name for name in NAMES["plain"])
    packed(labels, idx(LABELS))
    whole = idx(IMAGES)
    for length in range(len(whole)):
        images.write_bytes(whole[:length])
        with refuses(f"{images}: "):
            load(str(images), {})


def test_a_gzipped_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    images, labels = (tmp_path / name for name in NAMES["gzipped"])
    packed(labels, idx(LABELS))
    whole = gzip.compress(idx(IMAGES))
    for length in range(len(whole)):
        images.write_bytes(whole[:length])
        with refuses(f"{images}: "):
            load(str(images), {})


def test_a_file_that_only_claims_to_be_gzipped_is_refused(tmp_path: Path) -> None:
    images, labels = (tmp_path / name for name in NAMES["gzipped"])
    packed(labels, idx(LABELS))
    images.write_bytes(idx(IMAGES))
    with refuses("the file cannot be read: Not a gzipped file"):
        load(str(images), {})


def test_options_of_other_sources_are_refused(write: Write) -> None:
    with refuses("unknown option 'examples', known are: task, classes"):
        load(write(), {"examples": 3})


# --- cached


def test_the_fingerprint_covers_both_files(write: Write) -> None:
    other_images, other_labels = IMAGES.copy(), LABELS.copy()
    other_images[0, 0, 0] ^= 1
    other_labels[0] = 1
    kinds = [(IMAGES, LABELS), (other_images, LABELS), (IMAGES, other_labels)]
    assert len({load(write(*kind), {}).fingerprint for kind in kinds}) == 3


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_a_change_of_either_file_is_noticed_by_the_cache(
    write: Write, tmp_path: Path, changed: str
) -> None:
    before = open_cached(write(), {}, tmp_path / "cache")
    assert before.targets.tolist() == LABELS.tolist()
    new: dict[str, Any] = (
        {"images": 255 - IMAGES} if changed == "images" else {"labels": 2 - LABELS}
    )
    after = open_cached(write(**new), {}, tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    same = np.array_equal(after.features, before.features)
    assert same == (changed == "labels")


def test_a_second_opening_does_not_convert_again(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write()
    first = open_cached(images, {}, tmp_path / "cache")
    monkeypatch.delattr(File, "load")
    second = open_cached(images, {}, tmp_path / "cache")
    assert np.array_equal(first.features, second.features)
    assert isinstance(second.features.base, np.memmap)
