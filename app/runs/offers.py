"""Portions that lie on the control server for whoever is free: offered, taken, and found again.

A message of the broker begins a **shift** of a worker process, in which it takes portions by itself
as long as there are any: so a portion costs no message. Short ones are offered in bundles, which
cost the calls of one. An offer is a hint, as a message is. It is moved to a list of the shift that
takes it, where it is found while somebody computes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control
from distbelief.app.runs.record import KEEP_S


class Offer(NamedTuple):
    """A portion of an evaluation; dispatch 0 is the first, later ones are backups or retries."""

    evaluation: int
    portion: int
    dispatch: int


class Shift(NamedTuple):
    """A shift of a worker process under a coordinator's fence."""

    run: str
    fence: int
    number: int


#: What is taken at once.
Bundle = Sequence[Offer]


def offering(run: str, fence: int, bundles: Iterable[Bundle]) -> list[Command]:
    """Commands that put bundles, of which there are some, behind those that are offered."""
    key = _offers(run, fence)
    texts = (" ".join(":".join(map(str, each)) for each in bundle) for bundle in bundles)
    # What a coordinator leaves that dies must not stay for ever.
    return [Command(0, ("RPUSH", key, *texts)), Command(0, ("EXPIRE", key, KEEP_S))]


def withdrawing(run: str, fence: int) -> Command:
    """The command that takes back what nobody has taken."""
    return Command(0, ("UNLINK", _offers(run, fence)))


def taking(shift: Shift, wait_s: float) -> list[Command]:
    """Commands that take a bundle, after which the shift is at no other one.

    The last but one waits, for a moment. What is taken is read by :func:`taken`.
    """
    key, source = _taken(shift), _offers(shift.run, shift.fence)
    return [
        Command(0, ("UNLINK", key)),
        Command(0, ("BLMOVE", source, key, "LEFT", "RIGHT", f"{wait_s:.3f}")),
        Command(0, ("EXPIRE", key, KEEP_S)),
    ]


def taken(replies: Sequence[bytes | None]) -> Bundle:
    """The bundle in the last replies, which are those to :func:`taking`; empty if there is none."""
    return _read(replies[-2] or b"")


def leaving(shift: Shift) -> Command:
    """The command by which a shift that ends is at nothing any more."""
    return Command(0, ("UNLINK", _taken(shift)))


def find(servers: Servers, run: str, fence: int, shifts: Iterable[int]) -> dict[Offer, int | None]:
    """Where offers are: with which of these shifts, or None if nobody has taken it."""
    at = [*shifts]
    places = [None, *at]
    keys = [_offers(run, fence), *(_taken(Shift(run, fence, each)) for each in at)]
    lists = servers.call([Command(0, ("LRANGE", key, 0, -1)) for key in keys])
    return {
        offer: place
        for place, texts in zip(places, lists, strict=True)
        for text in texts
        for offer in _read(text)
    }


def _read(text: bytes) -> list[Offer]:
    """A bundle as it lies in a list; nothing if it is none, for anybody may write there."""
    try:
        return [Offer(*map(int, each.split(b":"))) for each in text.split()]
    except (ValueError, TypeError):
        return []


def _offers(run: str, fence: int) -> str:
    return control(run, f"offers:{fence}")


def _taken(shift: Shift) -> str:
    return control(shift.run, f"taken:{shift.fence}.{shift.number}")
