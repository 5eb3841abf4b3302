"""Copies of a run's checkpoints at an address that outlives this machine: s3:// and the like.

A checkpoint is written to the disk first, and copied whole. Its manifest comes last: without
one it is not there, so that a copy that was cut off is none. Whoever goes on with the run elsewhere
fetches the newest that is whole.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distbelief.app.datasets.reading.access import check_access
from distbelief.app.errors import CheckpointError, ConfigError, DataError, ServerUnreachable
from distbelief.app.files import checkpoint
from distbelief.app.files.atomic import new_folder
from distbelief.app.files.checkpoint import MANIFEST
from distbelief.app.files.documents import parse_object
from distbelief.app.settings.extras import needed

#: What a run is, beside its checkpoints, as in its folder.
RUN = "run.json"

#: What may be removed: nobody else's folders are called so.
_NAME = re.compile(r"\d{6,}-\d{6,}")

#: Storage where making a folder would make a bucket, whose name may be a mistake.
_WITHOUT_FOLDERS = {"s3", "gs", "abfs"}


class CheckpointCopies:
    """The copies of one run's checkpoints below ``address/run``.

    Every method raises ServerUnreachable where the storage refuses, or does not answer.

    Raises:
        ConfigError: the address is none, its protocol is not allowed, or its driver is missing.
    """

    def __init__(self, address: str, run: str) -> None:
        self.address = f"{address.rstrip('/')}/{run}"
        try:
            check_access(self.address)
            core = needed("fsspec.core", f"{address}: addresses need fsspec", "remote", ConfigError)
            self._files, self._root = core.url_to_fs(self.address)
        except DataError as error:
            raise ConfigError(f"checkpoint_address: {error}") from error
        except (ImportError, ValueError, OSError) as error:
            raise ConfigError(f"checkpoint_address = {address} cannot be used: {error}") from error

    def names(self) -> list[str]:
        """Copies that have a manifest, oldest first."""
        with self._told("listed"):
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return []
            found = self._files.glob(f"{self._root}/*/{MANIFEST}")
        return sorted(name for each in found if _NAME.fullmatch(name := each.split("/")[-2]))

    def put(self, path: Path) -> None:
        """Copy the checkpoint at ``path``, a folder, whole."""
        there = f"{self._root}/{path.name}"
        with self._told("written"):
            self._make(there)
            for file in sorted(path.iterdir(), key=lambda each: each.name == MANIFEST):
                self._files.put_file(str(file), f"{there}/{file.name}")

    def fetch(self, name: str, folder: Path) -> Path:
        """Bring a copy into ``folder``; raises CheckpointError also where it is not whole."""
        folder.mkdir(parents=True, exist_ok=True)
        final, partial = folder / name, folder / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with self._told("read"), new_folder(final, partial):
            for file in self._files.ls(f"{self._root}/{name}", detail=False):
                base = file.rstrip("/").rpartition("/")[2]
                self._files.get_file(file, str(partial / base))
            checkpoint.read(partial)
        return final

    def rank(self, name: str) -> Any:
        """How good the state in a copy is, as its manifest says."""
        with self._told("read"):
            text = parse_object(self._files.cat_file(f"{self._root}/{name}/{MANIFEST}"))
            return text["body"]["document"].get("rank")

    def remove(self, name: str) -> None:
        """Remove a copy: its manifest first."""
        with self._told("removed"), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}/{MANIFEST}")
            self._files.rm(f"{self._root}/{name}", recursive=True)

    def put_run(self, file: Path) -> None:
        """Copy what says what the run is, so that the address is enough to go on with it."""
        with self._told("written"):
            self._make(self._root)
            self._files.put_file(str(file), f"{self._root}/{RUN}")

    def fetch_run(self, file: Path) -> bool:
        """Bring back what :meth:`put_run` has copied; whether there is any."""
        with self._told("read"):
            self._files.invalidate_cache()
            if not self._files.exists(f"{self._root}/{RUN}"):
                return False
            file.parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(f"{self._root}/{RUN}", str(file))
        return True

    def _make(self, folder: str) -> None:
        if self.address.partition("://")[0] not in _WITHOUT_FOLDERS:
            self._files.makedirs(folder, exist_ok=True)

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except Exception as error:  # drivers of storage have error trees of their own
            what = str(error) or type(error).__name__
            raise ServerUnreachable(f"{self.address} cannot be {done}: {what}") from error


def open_copies(
    address: str | None, run: str, folder: Path, say: Callable[[str], None], *, resumed: bool
) -> CheckpointCopies | None:
    """The copies of a run's checkpoints, None without an address; ``folder`` is for those here.

    For a run that is ``resumed`` the newest is fetched, unless what is here is as new.

    Raises:
        ConfigError: a run of that name has copies there, and this is another one.
        ServerUnreachable: the storage does not answer, or not to us.
    """
    if address is None:
        return None
    copies = CheckpointCopies(address, run)
    names = copies.names()
    if names and not resumed:
        raise ConfigError(
            f"{copies.address} has checkpoints of a run of this name, of which nothing is known "
            "here: resume it, or choose another name"
        )
    here = checkpoint.names(folder)
    for name in reversed(names):
        if here and name <= here[-1]:
            break
        try:
            copies.fetch(name, folder)
        except CheckpointError as error:
            say(f"{error}; trying the checkpoint before it")
        else:
            say(f"checkpoint {name} was fetched from {copies.address}")
            break
    return copies
