"""A server's own counts of bytes and seconds are those of the work that it was given."""

from __future__ import annotations

import math

from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.comparison.meter import Meter
from tests.redis.private import PrivateServer, connected

NUMBERS = 1_000_000
#: What commands, replies and questions for the counts have beside the numbers themselves.
WORDS = 10_000


def test_bytes_are_those_that_went_through_the_sockets(program: ServerProgram) -> None:
    with (
        PrivateServer(program) as control,
        PrivateServer(program) as server,
        connected(server.url) as client,
        Meter(Endpoints(control.url, (server.url,))) as meter,
    ):
        begin = meter.read()
        for _ in range(3):
            client.one("SET", "numbers", bytes(NUMBERS))
        client.one("GET", "numbers")
        meter.own_bytes += len(client.one("GET", "numbers"))  # read to be scored, and taken off
        end = meter.read()
    used = meter.costs(begin, end, 7.0)
    assert 0 <= used.bytes_in - 3 * NUMBERS < WORDS
    assert 0 <= used.bytes_out - NUMBERS < WORDS
    assert used.examples == 7.0
    assert 0 < used.servers_s < used.seconds + 1
    assert used.coordinator_s > 0
    assert math.isnan(used.workers_s)  # nobody answered: unknown is not zero
