"""Calibration by real workers, and the plan that follows from it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import configure
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibrating import calibrate
from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.plan import make_plan


def keys(url: str) -> list[bytes]:
    with closing(Servers([url])) as servers:
        return [key for key in servers.one("KEYS", "*") if key.startswith((b"ps:", b"dist:run:"))]


def check_costs(known: Calibration) -> None:
    assert known.downpour is not None
    assert known.sandblaster is not None
    exchange, size = known.downpour.both, known.layout("downpour").size
    for line in (exchange.client, exchange.server, exchange.up, exchange.down):
        assert line.at(2, 2, size) > 0
    assert 4 * size <= exchange.up.at(2, 2, size) <= 8 * size + 4000  # the gradient as float32
    assert 4 * size <= exchange.down.at(2, 2, size) <= 8 * size + 4000
    assert len(known.downpour.alone) > 3
    assert all(each > 0 for each in known.downpour.alone + known.sandblaster.portions[0])
    assert min(known.dispatch.turnaround_s) > 0
    assert {(each.algorithm, each.replicas) for each in known.checks} == {
        *((name, count) for name in ("downpour", "sandblaster") for count in (1, 2))
    }


def test_a_fleet_is_calibrated_by_its_own_workers_and_keeps_nothing(
    shared: LocalCluster, tmp_path: Path
) -> None:
    endpoints = shared.endpoints
    before = {url: set(keys(url)) for url in (endpoints.broker, *endpoints.parameter_servers)}
    settings = {
        "broker": endpoints.broker,
        "parameter_servers": endpoints.parameter_servers,
        "folder": str(tmp_path),
        "wait_seconds": 60.0,
    }
    said = list[str]()
    known = calibrate(settings, configure(settings)[1], 4.0, said.append)
    check_costs(known)
    assert known.link is not None
    assert min(known.link.up + known.link.down + known.link.round_trip_s) > 0
    assert min(known.link.burst) >= 0
    assert known.machines.processes == 2
    assert {url: set(keys(url)) for url in before} == before
    assert not any(tmp_path.iterdir())
    plan = make_plan(known, Assumptions(most_replicas=2, most_servers=2), seed=0)
    assert all(row.outcome.rate > 0 for row in plan.rows)
    assert len(plan.sentences()) == 4
