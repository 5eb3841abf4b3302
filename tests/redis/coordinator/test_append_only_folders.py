"""Append-only files of embedded servers: kept for the same servers, gone with another number."""

from __future__ import annotations

from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.coordinator.cluster.local import LocalCluster
from tests.redis.private import connected

PATIENCE_S = 60.0


def cluster(folder: Path, servers: int) -> LocalCluster:
    return LocalCluster(
        servers=servers,
        processes=0,
        folder=folder / "logs",
        wait_s=PATIENCE_S,
        durable=folder / "files",
    )


def noted(servers: Servers) -> list[object]:
    return [servers.one("GET", "note", server=index) for index in range(len(servers))]


def test_servers_come_back_with_what_they_held_unless_there_were_others(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as first, connected(*first.endpoints.parameter_servers) as servers:
        for index in range(2):
            servers.one("SET", "note", f"of {index}", server=index)
    with cluster(tmp_path, 2) as again, connected(*again.endpoints.parameter_servers) as servers:
        assert noted(servers) == [b"of 0", b"of 1"]
    with cluster(tmp_path, 1) as other, connected(*other.endpoints.parameter_servers) as servers:
        assert noted(servers) == [None]
    with cluster(tmp_path, 2) as last, connected(*last.endpoints.parameter_servers) as servers:
        assert noted(servers) == [None, None]


def test_the_control_server_keeps_what_it_held_whatever_the_others_are(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as first, connected(first.endpoints.broker) as control:
        control.one("SET", "note", "here")
    with cluster(tmp_path, 1) as other, connected(other.endpoints.broker) as control:
        assert control.one("GET", "note") == b"here"
