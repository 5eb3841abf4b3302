"""Whole vectors of shards on their way to the servers: cut into pieces that any link carries.

A command waits for its answer no longer than a socket's timeout, and one that was broken off is
sent again as a whole: so none is large, and not many are under way at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

from distbelief.app.client.commands import Command
from distbelief.app.client.wire import Argument

#: Bytes of one command, beside a block that alone has more.
PIECE_BYTES = 1 << 19
#: Bytes of all commands that are sent before their answers are read.
WINDOW_BYTES = 1 << 21


@dataclass(frozen=True)
class Piece:
    """Consecutive blocks of a shard, from every vector that is written.

    ``before`` is how many blocks are in the pieces before it; ``more`` whether others follow.
    """

    ids: str
    numbers: str
    values: tuple[memoryview, ...]
    before: int
    more: bool

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """As ``create.lua`` has them behind the name of the write."""
        return (self.before, "more" if self.more else "last", *self.values)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.values)


@dataclass(frozen=True)
class Sent:
    """The command for a piece of a shard."""

    shard: int
    command: Command
    nbytes: int


def cut(
    ids: Sequence[int | str],
    numbers: Sequence[int],
    vectors: Sequence[memoryview],
    width: int,
    most: int,
) -> list[Piece]:
    """Cut blocks into pieces of at most ``most`` bytes, or of one block.

    Args:
        ids: of the blocks.
        numbers: in each block.
        vectors: the bytes of all blocks, one after another, for each vector.
        width: bytes of a number.
        most: see above.
    """
    ends = [width * end for end in accumulate(numbers, initial=0)]
    pieces, first = list[Piece](), 0
    while first < len(ids) or not pieces:
        last = first + 1
        while last < len(ids) and len(vectors) * (ends[last + 1] - ends[first]) <= most:
            last += 1
        pieces.append(
            Piece(
                ",".join(map(str, ids[first:last])),
                ",".join(map(str, numbers[first:last])),
                tuple(each[ends[first] : ends[min(last, len(ids))]] for each in vectors),
                before=first,
                more=last < len(ids),
            )
        )
        first = last
    return pieces


def windows(servers: Iterable[Iterable[Sent]], most: int) -> Iterator[list[Sent]]:
    """What is sent to each server, a few commands for all of them at a time.

    What is to be sent is asked for as late as can be: answers may make it needless.
    """
    window, nbytes = list[Sent](), 0
    for sent in (each for turn in zip_longest(*servers) for each in turn if each is not None):
        if window and nbytes + sent.nbytes > most:
            yield window
            window, nbytes = [], 0
        window.append(sent)
        nbytes += sent.nbytes
    if window:
        yield window
