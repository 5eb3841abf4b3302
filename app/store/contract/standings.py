"""Where shards stand in the changes of their coordinators: so one that went back is known.

A server that comes back with older data, after a failover to a replica or from a snapshot, is
consistent in itself, and wrong. A coordinator numbers its changes of a shard, as a replica
numbers its pushes: whoever reads or changes a shard says what it is known to have had, and one
that has it no more answers ``BEHIND``. Nobody but its coordinator makes such changes, so nobody
can bring a shard that went back to where it seems never to have been away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Standing:
    """The fence in force on a shard, and the last change of its coordinator under it.

    Both only grow: of two standings of a shard, the greater is the later one.
    """

    fence: int = 0
    change: int = 0


#: One for each shard.
Standings = tuple[Standing, ...]


def to_json(standings: Iterable[Standing]) -> list[list[int]]:
    return [[each.fence, each.change] for each in standings]


def from_json(document: Sequence[Sequence[int]] | None, n_shards: int) -> Standings:
    """Read standings; nothing is known of shards of which an older version noted none."""
    if document is None or len(document) != n_shards:
        return (Standing(),) * n_shards
    return tuple(Standing(*each) for each in document)


class Acknowledged:
    """What the shards have acknowledged to one store, and the numbers of its changes."""

    def __init__(self, n_shards: int) -> None:
        self._standings = [Standing()] * n_shards
        self._number = 0

    @property
    def standings(self) -> Standings:
        return tuple(self._standings)

    def next_number(self) -> int:
        """The number of a new change; it is greater than all before it, also failed ones."""
        self._number += 1
        return self._number

    def under(self, fence: int, shard: int) -> Standing:
        """What a shard is known to have had, for somebody who acts under ``fence``."""
        known = self._standings[shard]
        return known if known.fence == fence else Standing(fence)

    def note(self, shard: int, standing: Standing) -> None:
        """Note what a shard has acknowledged, or that it is taken for what it is found to be."""
        self._standings[shard] = standing


def refusal(found: Standing, known: Standing) -> str:
    """Why a shard does not serve a call of who knows it to have stood there; "" if it does.

    The fence of ``known`` is that of the call. Twin: ``lua/changes.lua``.
    """
    if found.fence > known.fence:
        return "FENCED"
    return "BEHIND" if found < known else ""
