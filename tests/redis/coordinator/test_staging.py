"""A coordinator's data on the control server: there while it trains, put back, gone afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.errors import ConfigError, RunTaken, ServerError
from distbelief.app.layout.keys import patterns
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig, configure
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.runs import staging as staging_module
from distbelief.coordinator.runs.staging import check_size, staging
from tests.redis.private import connected

DEADLINE_S = 60.0


@pytest.fixture
def control(
    cluster_of: Callable[[ServerProgram], LocalCluster], program: ServerProgram
) -> Iterator[Servers]:
    with connected(cluster_of(program).endpoints.broker) as servers:
        yield servers


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Files to train on and for the test, which is of the same content."""
    for name in ("mine.csv", "test.csv"):
        rows = [f"{row % 7},{row % 3}" for row in range(60)]
        (tmp_path / name).write_text("\n".join(["x,y", *rows]))
    return RunConfig(
        data=f"{tmp_path}/mine.csv", test_data=f"{tmp_path}/test.csv", data_options={"target": "y"}
    )


@pytest.fixture
def data(config: RunConfig, tmp_path: Path) -> RunData:
    return open_data(config, tmp_path / "cache")


def cluster(**settings: Any) -> ClusterConfig:
    servers = {"broker": "redis://b", "parameter_servers": ("redis://p",)}
    return configure({**servers, "stage_data": "control", **settings})[1]


def session(control: Servers, record: RunRecord, config: RunConfig) -> Any:
    own = replace(record, config=config)
    return SimpleNamespace(control=control, record=own, config=config)


def keys(control: Servers, record: RunRecord) -> list[bytes]:
    found: list[bytes] = control.one("KEYS", patterns(record.run)[0])
    return [key for key in found if b":staged:" in key]


def test_data_are_there_as_long_as_it_trains(
    control: Servers,
    record: RunRecord,
    config: RunConfig,
    data: RunData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staging_module, "RENEW_S", 0.02)
    ours, said = session(control, record, config), list[str]()
    with staging(ours, cluster(), data, said.append):
        assert ours.record.staged is not None
        assert [name for name, _ in ours.record.staged.digests] == ["data", "test_data"]
        assert RunRecord.from_json(record.run, ours.record.to_json()) == ours.record
        found = keys(control, record)
        control.one("UNLINK", *found)
        deadline = time.monotonic() + DEADLINE_S
        while sorted(keys(control, record)) != sorted(found):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert keys(control, record) == []
    assert "each machine with workers fetches them once" in said[0]
    assert "were lost at the control server" in said[1]


def test_a_run_that_was_taken_over_keeps_its_data(
    control: Servers, record: RunRecord, config: RunConfig, data: RunData
) -> None:
    with (
        pytest.raises(RunTaken),
        staging(session(control, record, config), cluster(), data, print),
    ):
        raise RunTaken("by somebody else")
    assert keys(control, record)


def test_data_that_workers_make_themselves_stay_where_they_are(
    control: Servers, record: RunRecord, tmp_path: Path
) -> None:
    config = RunConfig(data="synthetic:softmax", data_options={"examples": 50})
    ours = session(control, record, config)
    with staging(ours, cluster(), open_data(config, tmp_path), print):
        assert ours.record.staged is None
        assert keys(control, record) == []


def test_more_than_the_control_server_may_hold_is_refused(
    control: Servers,
    record: RunRecord,
    config: RunConfig,
    data: RunData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"bytes of data .* stage_limit allows 1KB.*s3://"):
        check_size(cluster(stage_limit="1KB"), config, data)
    check_size(cluster(stage_limit="1KB", stage_data="s3://bucket/x"), config, data)
    check_size(cluster(), config, data)
    monkeypatch.setattr(staging_module, "memory_left", lambda _: 10)
    with (
        pytest.raises(ServerError, match=r"maxmemory leaves 10: raise that, or"),
        staging(session(control, record, config), cluster(), data, print),
    ):
        raise AssertionError
    assert keys(control, record) == []
