"""Pieces of data that a run's coordinator lays down on the control server for its workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control

#: How long pieces stay that nobody renews, because their coordinator died.
KEEP_S = 600

#: Commands that are under way at once.
BATCH = 500


class StagedOnServer:
    """Pieces of one run under keys of it; see
    :class:`distbelief.app.datasets.staging.depot.Depot`.
    """

    #: As large as those of a vector, and as many at a time: slow links carry them.
    piece_bytes = 1 << 19
    window = 4

    def __init__(self, servers: Servers, run: str) -> None:
        self._servers = servers
        self._run = run
        self.place = f"the control server ({servers.addresses[0]})"

    def read(self, digest: str, pieces: Sequence[int]) -> list[bytes | None]:
        asked = [Command(0, ("GET", self._key(digest, piece))) for piece in pieces]
        found: list[bytes | None] = self._servers.call(asked)
        return found

    def missing(self, digest: str, pieces: Sequence[int]) -> list[int]:
        lacking = list[int]()
        for start in range(0, len(pieces), BATCH):
            some = pieces[start : start + BATCH]
            asked = [Command(0, ("EXPIRE", self._key(digest, piece), KEEP_S)) for piece in some]
            there = self._servers.call(asked)
            lacking += [piece for piece, found in zip(some, there, strict=True) if not found]
        return lacking

    def write(self, digest: str, piece: int, content: bytes) -> None:
        self._servers.one("SET", self._key(digest, piece), content, "EX", KEEP_S)

    def remove(self, digest: str, pieces: Collection[int]) -> None:
        keys = [self._key(digest, piece) for piece in pieces]
        for start in range(0, len(keys), BATCH):
            self._servers.one("UNLINK", *keys[start : start + BATCH])

    def _key(self, digest: str, piece: int) -> str:
        return control(self._run, f"staged:{digest}:{piece}")
