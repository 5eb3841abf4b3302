"""Parts of a data set that no function of the row number says: lists of rows, in files.

They lie in the folder of the data set, computed once on each machine, and are the same on all: by
the examples and the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.cache.streaming import GrowingArray
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.division import CHUNK, HELDOUT, TEST, TRAIN, Division, Parts
from distbelief.app.datasets.split.partition import ListedRows
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import replacing

#: The files; the one that is written last says that all are there.
_FILES = {TEST: "test.npy", HELDOUT: "heldout.npy", TRAIN: "train.npy"}


def listed(dataset: Dataset, key: str, make: Callable[[], Parts]) -> Division:
    """The parts of a data set, from its folder or made.

    Args:
        dataset: one that lies in a folder.
        key: all that decides the parts beside the data; orders are shuffled by it.
        make: gives the part of each example.

    Raises:
        DataError: the folder cannot be written.
    """
    assert dataset.folder is not None
    digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    folder = dataset.folder / f"parts-{digest}"
    try:
        if not (folder / _FILES[TRAIN]).exists():
            _write(folder, make())
        rows = {part: np.load(folder / name, mmap_mode="r") for part, name in _FILES.items()}
    except OSError as error:
        raise DataError(
            f"{dataset.name}: cannot write the parts of the data to {folder} ({error.strerror}); "
            "set DISTBELIEF_CACHE to a folder with room that you may write to"
        ) from error
    lists = {part: _listed(array, dataset.n_examples, key, part) for part, array in rows.items()}
    return Division(lists[TRAIN], lists[HELDOUT], lists[TEST])


def _listed(array: npt.NDArray[np.int64], n: int, key: str, part: int) -> ListedRows:
    return ListedRows(array.view(np.ndarray), n, f"{key}/{part}")


def _write(folder: Path, parts: Parts) -> None:
    for part, name in _FILES.items():
        with (
            replacing(folder / name) as partial,
            closing(GrowingArray(partial, np.dtype(np.int64))) as file,
        ):
            for start in range(0, len(parts), CHUNK):
                file.add(start + np.flatnonzero(parts[start : start + CHUNK] == part))
