"""Servers that lose their data before anything is trained, or when only the result is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.sandblaster.driver import Sandblaster
from tests.cluster.fleets import clocks

SHARDS = 3
SETTINGS: dict[str, Any] = {
    "model": "softmax",
    "shards": SHARDS,
    "block_numbers": 64,
    "passes": 2,
    "iterations": 10,
    "checkpoint_seconds": 0.2,
}


def flushed_before(url: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """``method``, before whose first call a server loses its data."""
    left = [url]

    def lossy(*arguments: Any, **named: Any) -> Any:
        if left:
            with closing(Servers([left.pop()])) as server:
                server.one("FLUSHALL")
        return method(*arguments, **named)

    return lossy


@pytest.mark.parametrize("driver", [Downpour, Sandblaster])
@pytest.mark.parametrize("step", ["capture", "summary", "finish"])
def test_a_parameter_server_that_loses_its_data_early_or_late_costs_only_work(
    shared: LocalCluster,
    train_shared: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    driver: type[Any],
    step: str,
) -> None:
    url = shared.endpoints.parameter_servers[0]
    monkeypatch.setattr(driver, step, flushed_before(url, getattr(driver, step)))
    trained = train_shared(**SETTINGS, algorithm=driver.__name__.lower())
    assert trained.outcome.reason in (EndReason.PASSES, EndReason.ITERATIONS)
    if driver is Downpour:
        planned = [UnitPlan.of(trained.problem).total_pushes] * SHARDS
        assert clocks(shared, trained.outcome.run, SHARDS) == planned


def test_a_control_server_that_loses_a_finished_run_does_not_make_it_fail(
    shared: LocalCluster, train_shared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    close = flushed_before(shared.endpoints.broker, Leader.close)
    monkeypatch.setattr(Leader, "close", close)
    assert train_shared(**SETTINGS).outcome.reason is EndReason.PASSES
