"""The place where a coordinator lays pieces of data down, and workers fetch them.

Who keeps this promise: the control server (:mod:`distbelief.app.runs.staged`), and storage at an
address (:mod:`distbelief.app.datasets.staging.storage`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

#: The piece of every data set that is its manifest; the others follow.
MANIFEST = 0


class Depot(Protocol):
    """Pieces by the digest of their data set and their number.

    Attributes:
        place: as messages call it.
        piece_bytes: how large pieces are best here.
        window: pieces that are asked for at once.

    Every method raises ServerError if the place does not answer, or refuses.
    """

    place: str
    piece_bytes: int
    window: int

    def read(self, digest: str, pieces: Sequence[int]) -> list[bytes | None]:
        """The content of some pieces, None for one that is not there."""
        ...

    def missing(self, digest: str, pieces: Sequence[int]) -> list[int]:
        """Those of some pieces that are not there; the others stay for some more time."""
        ...

    def write(self, digest: str, piece: int, content: bytes) -> None:
        """Lay a piece down."""
        ...

    def remove(self, digest: str, pieces: Collection[int]) -> None:
        """Remove pieces, there or not."""
        ...
