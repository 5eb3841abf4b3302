"""Pieces of data on the control server: until when, and what is told of lost ones."""

from __future__ import annotations

from collections.abc import Callable

from distbelief.app.layout.keys import control
from distbelief.app.runs import staged
from distbelief.app.runs.staged import KEEP_S, StagedOnServer
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from tests.redis.private import connected

DIGEST = "d" * 32


def test_pieces_stay_as_long_as_they_are_renewed(
    cluster_of: Callable[[ServerProgram], LocalCluster], program: ServerProgram, monkeypatch
) -> None:
    monkeypatch.setattr(staged, "BATCH", 2)
    url = f"{cluster_of(program).endpoints.broker}"
    with connected(url) as servers:
        depot, pieces = StagedOnServer(servers, "staged-run"), range(5)
        keys = [control("staged-run", f"staged:{DIGEST}:{piece}") for piece in pieces]
        assert depot.missing(DIGEST, pieces) == [*pieces]
        for piece in (0, 1, 2, 4):
            depot.write(DIGEST, piece, bytes([255, piece]))
        assert depot.read(DIGEST, pieces) == [b"\xff\0", b"\xff\1", b"\xff\2", None, b"\xff\4"]
        servers.one("EXPIRE", keys[1], 5)
        assert depot.missing(DIGEST, pieces) == [3]
        assert all(KEEP_S - 60 < servers.one("TTL", keys[each]) <= KEEP_S for each in (0, 1, 4))
        depot.remove(DIGEST, pieces)
        assert depot.missing(DIGEST, pieces) == [*pieces]
