"""Ways in which replicas may exchange with the servers, and what each costs a fleet.

Pure: what steps, links and servers take is measured elsewhere. Ways that change the result least
come first, and one that changes it is taken only where the others leave workers idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.coding import coded_bytes
from distbelief.coordinator.downpour.links import Link

#: Share of their time that workers may be idle before the result is changed for it; and where it
#: is changed, what is enough.
MOST_IDLE, ENOUGH = 1 / 3, 0.15

#: Steps of a round. Longer ones cost the loss more than they save (docs/rounds.md).
ROUNDS = (8, 16, 32, 64, 128)

#: Rounds of a replica, at least: its part of the mean moves once in each; and at least so many for
#: each of the replicas, or the model is worse for it (docs/rounds.md).
FEWEST_ROUNDS, ROUNDS_FOR_EACH = 16, 4


@dataclass(frozen=True)
class Way:
    """An exchange every so many ``steps``, with numbers in ``wire``; ``by_rounds`` of steps."""

    steps: int
    wire: Wire = "float32"
    by_rounds: bool = False

    def __str__(self) -> str:
        what = f"rounds of {self.steps} steps" if self.by_rounds else f"n_push {self.steps}"
        return what if self.wire == "float32" else f"{what}, {self.wire} on the wire"


@dataclass(frozen=True)
class FleetCosts:
    """What steps and exchanges cost so many ``replicas``.

    A step takes ``step_s``; ``link`` is what a replica has of its worker's, None where servers are
    near; an exchange keeps the server with most to do for ``server_s``, by the wire. All exchange
    ``numbers`` of ``itemsize`` bytes, and ``overlap`` that with steps, or not.
    """

    step_s: float
    numbers: int
    replicas: int
    server_s: Mapping[Wire, float]
    link: Link | None = None
    itemsize: int = 4
    overlap: bool = True

    def bytes_of(self, wire: Wire) -> int:
        """Bytes of an exchange, in each direction."""
        return (
            self.numbers * self.itemsize if wire == "float32" else coded_bytes(wire, self.numbers)
        )

    def exchange_s(self, wire: Wire) -> float:
        """Seconds of an exchange with nobody else at the servers."""
        way = self.bytes_of(wire)
        return self.server_s[wire] + (0.0 if self.link is None else self.link.exchange_s(way, way))

    def seconds(self, way: Way) -> float:
        """Seconds between two exchanges of a replica."""
        computing, exchanging = way.steps * self.step_s, self.exchange_s(way.wire)
        own = max(computing, exchanging) if self.overlap else computing + exchanging
        return max(own, self.replicas * self.server_s[way.wire])

    def idle(self, way: Way) -> float:
        """The share of their time that workers wait for exchanges."""
        return 1 - way.steps * self.step_s / self.seconds(way)

    def rate(self, way: Way) -> float:
        """Steps a second of all replicas together."""
        return self.replicas * way.steps / self.seconds(way)

    def bytes_a_step(self, way: Way) -> float:
        """Bytes of a minibatch, both ways."""
        return 2 * self.bytes_of(way.wire) / way.steps

    @property
    def one_process(self) -> float:
        """Steps a second of one process without any exchange."""
        return 1 / self.step_s


def exact_way(costs: FleetCosts, least: int, longest: int, wire: Wire) -> Way:
    """The shortest interval from ``least`` on that hardly leaves workers idle, or the longest."""
    way = Way(least, wire)
    while costs.idle(way) > ENOUGH and 2 * way.steps <= longest:
        way = replace(way, steps=2 * way.steps)
    return way


def best_way(
    costs: FleetCosts, exact: Way, wires: Sequence[Wire], rounds: Sequence[int] = ROUNDS
) -> Way:
    """The way that changes the result least and leaves workers busy.

    ``wires``, with that of the ``exact`` way first, and ``rounds`` are what may be chosen. If none
    is enough, the fastest is.
    """
    if costs.idle(exact) <= MOST_IDLE:
        return exact
    others = [replace(exact, wire=wire) for wire in wires if wire != exact.wire]
    others += [Way(steps, wire, by_rounds=True) for steps in rounds for wire in wires]
    enough = (way for way in others if costs.idle(way) <= ENOUGH)
    return next(enough, None) or max([exact, *others], key=costs.rate)


def rounds_in(steps: int, replicas: int) -> list[int]:
    """The lengths of rounds for so many replicas that take so many steps each."""
    fewest = max(FEWEST_ROUNDS, ROUNDS_FOR_EACH * replicas)
    return [length for length in ROUNDS if length * fewest <= steps]
