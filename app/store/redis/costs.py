"""What calls cost a server, so that none of them keeps others waiting beyond ``call_ms``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers


@dataclass(frozen=True)
class EngineCosts:
    """Nanoseconds that an engine takes for one number of one vector: to read it, and so on.

    ``send`` is to read it for a client, ``copy`` to copy it on the server, ``code`` to bring it
    into fewer bits or back. ``row`` is to update a whole row of a table.
    """

    unpack: float
    multiply: float
    write: float
    choose: float
    send: float
    copy: float
    code: float
    row: float

    def writing(self, terms: int) -> float:
        """For one number of a sum of vectors."""
        return self.write + (self.unpack + self.multiply) * terms

    def pushing(self, slots: int, *, coded: bool) -> float:
        """For one number of a gradient, the parameters and their slots; they may be sent back."""
        coding = 2 * self.code * coded
        return (self.unpack + self.multiply) * (2 + slots) + self.write * (1 + slots) + coding

    def sending(self, *, coded: bool) -> float:
        """For one number that is read for a client."""
        return self.send + self.code * coded


COSTS = {
    Engine.LUA: EngineCosts(35, 20, 70, 100, 9, 2, code=150, row=12_000),
    Engine.NATIVE: EngineCosts(1.5, 0.3, 4, 7, 1.5, 2, code=1, row=500),
}

NS_PER_MS = 1e6

#: A server reads so long an argument by itself, and turns to others before it goes on: then
#: commands behind one another need no pauses between them.
LEAST_APART = 32 << 10

#: Nanoseconds of a whole call for one number.
Cost = Callable[[EngineCosts], float]


def longest(servers: Servers, cost: Cost) -> list[int]:
    """For each server the most numbers that calls may be about until others get their turn."""
    budget = servers.call_ms * NS_PER_MS
    return [max(1, int(min(budget / cost(COSTS[engine]), 1e12))) for engine in servers.engines]
