"""Pieces of data at an address that coordinator and workers reach: s3:// and the like."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from distbelief.app.datasets.reading.access import check_access
from distbelief.app.errors import ConfigError, DataError, ServerRefused, ServerUnreachable
from distbelief.app.settings.extras import needed

#: Storage where making a folder would make a bucket, whose name may be a mistake.
_WITHOUT_FOLDERS = {"s3", "gs", "abfs"}


class Storage:
    """Pieces of one run in files ``ADDRESS/RUN/staged-DIGEST/NUMBER``; see
    :class:`distbelief.app.datasets.staging.depot.Depot`.

    Raises:
        DataError: this process may not open the address.
        ConfigError: it is none, or its driver is missing.
    """

    piece_bytes = 8 << 20
    window = 1

    def __init__(self, address: str, run: str) -> None:
        self.place = f"{address.rstrip('/')}/{run}"
        #: What somebody else has written may be half of it.
        self._written = set[str]()
        check_access(self.place)
        core = needed("fsspec.core", f"{address}: addresses need fsspec", "remote", ConfigError)
        try:
            self._files, self._root = core.url_to_fs(self.place)
        except (ImportError, ValueError, OSError) as error:
            raise ConfigError(f"stage_data = {address} cannot be used: {error}") from error

    def read(self, digest: str, pieces: Sequence[int]) -> list[bytes | None]:
        return [self._read(self._file(digest, piece)) for piece in pieces]

    def missing(self, digest: str, pieces: Sequence[int]) -> list[int]:
        with self._told("listed"):
            self._files.invalidate_cache()
            folder = self._folder(digest)
            listed = self._files.ls(folder, detail=False) if self._files.exists(folder) else []
        there = {each.rstrip("/").rpartition("/")[2] for each in listed} & self._written
        return [piece for piece in pieces if str(piece) not in there]

    def write(self, digest: str, piece: int, content: bytes) -> None:
        with self._told("written"):
            if self.place.partition("://")[0] not in _WITHOUT_FOLDERS:
                self._files.makedirs(self._folder(digest), exist_ok=True)
            self._files.pipe_file(self._file(digest, piece), content)
            self._written.add(str(piece))

    def remove(self, digest: str, pieces: Collection[int]) -> None:
        with self._told("removed"):
            if self._files.exists(self._folder(digest)):
                self._files.rm(self._folder(digest), recursive=True)

    def _read(self, file: str) -> bytes | None:
        with self._told("read"):
            try:
                found: bytes = self._files.cat_file(file)
            except FileNotFoundError:
                return None
            return found

    def _folder(self, digest: str) -> str:
        return f"{self._root}/staged-{digest}"

    def _file(self, digest: str, piece: int) -> str:
        return f"{self._folder(digest)}/{piece}"

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except FileNotFoundError as error:  # a bucket, or what a folder lies in
            raise ServerRefused(f"{self.place} cannot be {done}: {error}") from error
        except Exception as error:  # drivers of storage have error trees of their own
            what = str(error) or type(error).__name__
            raise ServerUnreachable(f"{self.place} cannot be {done}: {what}") from error
