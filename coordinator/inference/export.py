"""A model's parameters as files that other programs read."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.files.atomic import replacing
from distbelief.app.models.files import ROWS, SavedModel

#: The array of an ``.npz`` file with the names of the classes.
LABELS = "labels"

#: What is to be added to predictions, where targets were too near one another for float32.
ORIGIN = "target_origin"


def export(saved: SavedModel, path: Path) -> None:
    """Write the parameters in the format that the name of the file says.

    The file appears in one step, or not at all.

    Raises:
        ConfigError: no such format, or there is something else than a file.
        ModelError: it cannot be written, or the format cannot hold this model.
    """
    form = format_of(path)
    if form.write is None:
        saved.save(path)
        return
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            form.write(saved, file)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror}") from error


def format_of(path: Path) -> Format:
    """The format of that ending; raises ConfigError if there is none."""
    if path.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(f"'{path.name}' does not say a format: let it end in one of {known}")
    return FORMATS[path.suffix]


@dataclass(frozen=True)
class Format:
    """The contents of a file in words, and what writes it (None: :meth:`SavedModel.save`)."""

    about: str
    write: Callable[[SavedModel, IO[bytes]], None] | None


def _write_npz(saved: SavedModel, file: IO[bytes]) -> None:
    arrays: dict[str, Any] = dict(saved.arrays())
    if saved.schema.target_origin:
        arrays[ORIGIN] = np.float64(saved.schema.target_origin)
    if saved.schema.names:
        if LABELS in arrays:
            raise ModelError(f"a tensor is called {LABELS}, as the names of classes in an .npz")
        arrays[LABELS] = np.array([str(name) for name in saved.schema.names])
    np.savez(file, **arrays)


def _write_npy(saved: SavedModel, file: IO[bytes]) -> None:
    if saved.schema.target_origin:
        raise ModelError(
            f"to what the parameters give {saved.schema.target_origin:.17g} has to be added, which "
            "one vector cannot say: write .npz, .csv or .safetensors"
        )
    np.save(file, saved.flat(), allow_pickle=False)


def _write_csv(saved: SavedModel, file: IO[bytes]) -> None:
    rows = csv.writer(_Text(file), lineterminator="\n")
    rows.writerow(["tensor", "index", "value"])
    if saved.schema.target_origin:
        rows.writerow([ORIGIN, "", f"{saved.schema.target_origin:.17g}"])
    arrays = saved.arrays()
    for name, array in arrays.items():
        if not name.endswith(ROWS):
            ids = arrays.get(name + ROWS)
            rows.writerows((name, index, f"{value:.9g}") for index, value in _numbers(array, ids))


def _numbers(array: Any, ids: Any) -> Iterator[tuple[str, float]]:
    """Each number of a tensor and where it stands: its indices with spaces between them."""
    indices = itertools.product(*map(range, array.shape))
    for index, value in zip(indices, array.ravel(), strict=True):
        first = index[0] if ids is None else int(ids[index[0]])
        yield " ".join(map(str, (first, *index[1:]))), float(value)


class _Text:
    """Takes the text of a CSV writer."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


FORMATS = {
    ".safetensors": Format("a model that evaluate, predict and --init-from take", None),
    ".npz": Format("an array for each tensor, and the names of the classes", _write_npz),
    ".npy": Format("one vector: all tensors, one after another", _write_npy),
    ".csv": Format("a line for each number: tensor, index, value", _write_csv),
}
