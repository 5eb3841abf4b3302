"""Checkpoints: folders that are there in full or not at all.

A checkpoint is a folder with one ``.npy`` file for each vector and a manifest: a document
(JSON) and the SHA-256 of every file and of itself. It is written under another name,
forced to the disk, and renamed, so that a writer killed at any point leaves the one before
it. Vectors are whole, in the order of the parameters: nothing in a checkpoint depends on
how many shards or servers held them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.errors import CheckpointError
from distbelief.app.files.atomic import flush, new_folder
from distbelief.app.files.documents import parse_object

if TYPE_CHECKING:  # who only looks which checkpoints there are begins sooner without it
    import numpy.typing as npt

FORMAT = "distbelief-checkpoint-1"
MANIFEST = "manifest.json"

#: Files of vectors, as :func:`write` calls them: a manifest names nothing else.
_FILE = re.compile(r"[0-9]+\.npy")


@contextmanager
def understood(saved: Checkpoint) -> Iterator[dict[str, Any]]:
    """Give the document of a checkpoint to whoever takes it apart.

    Raises:
        CheckpointError: it is not what it should be.
    """
    try:
        yield saved.document
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{saved.path} does not say what it should ({what})") from error


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are all as they were written."""

    path: Path
    document: dict[str, Any]
    files: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def vector(self, name: str) -> npt.NDArray[Any]:
        """A vector, or the ids or values of a table's rows, mapped from its file.

        Raises:
            CheckpointError: there is none of that name.
        """
        import numpy as np

        if name not in self.files:
            raise CheckpointError(f"checkpoint {self.path} holds no {name}")
        path = self.path / self.files[name]
        try:
            return np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} ({name}) is no array: {error}") from error


def write(
    folder: Path,
    name: str,
    document: Mapping[str, Any],
    vectors: Iterable[tuple[str, npt.NDArray[Any]]],
) -> Path:
    """Write the checkpoint ``folder/name``; one vector at a time is in memory.

    Raises:
        OSError: it cannot be written, the disk is full; nothing is left of it then.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    final = folder / name
    with new_folder(final, folder / f".{name}.partial") as partial:
        files = {}
        for number, (vector_name, vector) in enumerate(vectors):
            file = f"{number}.npy"
            with (partial / file).open("wb") as output:
                np.save(output, vector, allow_pickle=False)
                flush(output)
            files[vector_name] = {"file": file, "sha256": _digest(partial / file)}
        body = _as_read({"format": FORMAT, "document": document, "vectors": files})
        with (partial / MANIFEST).open("w", encoding="utf-8") as output:
            json.dump({"sha256": _digest_of(body), "body": body}, output)
            flush(output)
    return final


def manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint: its document and its vectors' files, which are not read.

    Raises:
        CheckpointError: missing, damaged, or of another format.
    """
    try:
        text = parse_object((path / MANIFEST).read_text(encoding="utf-8"))
        body: dict[str, Any] = text["body"]
        if text["sha256"] != _digest_of(body):
            raise CheckpointError(f"{path / MANIFEST} is damaged: its digest does not fit")
        if body["format"] != FORMAT:
            raise CheckpointError(f"{path} has the format {body['format']}, expected {FORMAT}")
        if not isinstance(body["document"], dict):
            raise ValueError("its document is no JSON object")
        for name, entry in body["vectors"].items():
            if not _FILE.fullmatch(entry["file"]) or (path / entry["file"]).is_symlink():
                raise ValueError(f"{name} is not in a file of this folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from error
    return body


def read(path: Path) -> Checkpoint:
    """Read a checkpoint that :func:`write` wrote, and check every byte of it.

    Raises:
        CheckpointError: missing, damaged, or of another format.
    """
    body = manifest(path)
    for name, entry in body["vectors"].items():
        try:
            whole = _digest(path / entry["file"]) == entry["sha256"]
        except OSError as error:
            raise CheckpointError(f"{path / entry['file']} ({name}): {error}") from error
        if not whole:
            raise CheckpointError(f"{path / entry['file']} ({name}) is damaged: wrong digest")
    files = {name: entry["file"] for name, entry in body["vectors"].items()}
    return Checkpoint(path, body["document"], files)


def names(folder: Path) -> list[str]:
    """The checkpoints in a folder, oldest first; damaged ones as well."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def latest(folder: Path, refused: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole, None if there is none; why others are not."""
    for name in reversed(names(folder)):
        try:
            return read(folder / name)
        except CheckpointError as error:
            refused(str(error))
    return None


def prune(folder: Path, keep: Iterable[str]) -> None:
    """Remove all checkpoints but those, and what killed writers left."""
    kept = set(keep)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _as_read(body: Any) -> Any:
    """As it will be read again: JSON has only texts for keys."""
    return json.loads(json.dumps(body))
