"""Runs on servers of one's own: how long they stay there, and how they go."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster

Start = Callable[..., Any]
SHORT = ("--passes", "1", "--n-push", "1", "--n-fetch", "1", "--evaluate-every", "0.5")
WEEK_S = 7 * 86_400


@pytest.fixture
def clients(shared: LocalCluster) -> Iterator[list[redis.Redis]]:
    """The control server, then the parameter servers."""
    at = shared.endpoints
    made = [redis.Redis.from_url(url) for url in (at.broker, *at.parameter_servers)]
    yield made
    for each in made:
        each.close()


def keys(client: redis.Redis, run: str) -> list[bytes]:
    return sorted(key for key in client.scan_iter() if run.encode() in key)


def trained(command: Start, shared: LocalCluster, *words: str) -> str:
    training = command("train", *SHORT, *words, endpoints=shared.endpoints)
    assert training.ends() == ExitCode.OK, training.err
    return str(training.run)


def listed(command: Start, shared: LocalCluster, run: str) -> dict[str, Any]:
    answer = command("runs", run, "--json", endpoints=shared.endpoints)
    assert answer.ends() == ExitCode.OK, answer.err
    (found,) = json.loads(answer.out)
    return dict(found)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_a_run_is_deleted_and_its_model_stays(
    algorithm: str, command: Start, shared: LocalCluster, clients: list[redis.Redis], tmp_path: Path
) -> None:
    run = trained(command, shared, "--algorithm", algorithm, "--iterations", "3")
    there = sum(len(keys(each, run)) for each in clients)
    folder = ("--folder", tmp_path / "runs")

    refused = command("runs", "--delete", run, *folder, endpoints=shared.endpoints)
    assert refused.ends() == ExitCode.USAGE
    assert "add --yes" in refused.err
    assert sum(len(keys(each, run)) for each in clients) == there

    answer = command("runs", "--delete", run, "--yes", *folder, endpoints=shared.endpoints)
    assert answer.ends() == ExitCode.OK, answer.err
    assert re.search(rf"run {run}: removed {there} keys, some [\d,]+ [KM]iB", answer.out)
    assert "its folder stays" in answer.out
    assert [keys(each, run) for each in clients[1:]] == [[], []]
    assert keys(clients[0], run) == [f"dist:run:{{{run}}}:record".encode()]
    assert 0 < clients[0].ttl(f"dist:run:{{{run}}}:record") <= 86_400
    assert (tmp_path / "runs" / run / "model.safetensors").exists()


def test_a_run_that_is_kept_for_a_week_says_so_and_goes_everywhere(
    command: Start, shared: LocalCluster, clients: list[redis.Redis]
) -> None:
    run = trained(command, shared, "--keep-on-servers", "7d")
    for each in clients:
        assert keys(each, run)
        assert all(WEEK_S - 100 < each.ttl(key) <= WEEK_S for key in keys(each, run))
    assert WEEK_S - 100 < listed(command, shared, run)["goes_s"] <= WEEK_S
    table = command("runs", run, endpoints=shared.endpoints)
    assert table.ends() == ExitCode.OK
    assert "in 7 d" in table.out


def test_a_finished_run_that_is_not_kept_is_gone(
    command: Start, shared: LocalCluster, clients: list[redis.Redis], tmp_path: Path
) -> None:
    run = trained(command, shared, "--keep-on-servers", "no")
    assert [keys(each, run) for each in clients[1:]] == [[], []]
    assert (tmp_path / "runs" / run / "model.safetensors").exists()


def test_a_stopped_run_has_an_end_until_it_is_resumed(
    command: Start,
    shared: LocalCluster,
    clients: list[redis.Redis],
    until: Callable[..., None],
    tmp_path: Path,
) -> None:
    folder = ("--folder", tmp_path / "runs")
    long = ("--passes", "100000", "--keep-on-servers", "1h")
    training = command("train", *long, endpoints=shared.endpoints)
    training.says("pass ")
    living = command("runs", "--delete", training.run, "--yes", endpoints=shared.endpoints)
    assert living.ends() == ExitCode.TAKEN
    assert "is coordinated by process" in living.err

    def stop() -> None:
        stopped = command("stop", training.run, "--wait", *folder)
        assert stopped.ends() == ExitCode.OK, stopped.err

    stop()
    assert training.ends() == ExitCode.INTERRUPTED
    until(lambda: clients[0].ttl(keys(clients[0], training.run)[0]) > 0, "an end")
    assert all(each.ttl(key) > 0 for each in clients for key in keys(each, training.run))
    resumed = command("resume", training.run, *folder, endpoints=shared.endpoints)
    resumed.says("taken up under fence")
    assert "brought back" not in resumed.err
    assert {each.ttl(key) for each in clients[1:] for key in keys(each, training.run)} == {-1}
    stop()
    assert resumed.ends() == ExitCode.INTERRUPTED


def test_young_runs_are_not_older(command: Start, shared: LocalCluster) -> None:
    run = trained(command, shared)
    words = ("runs", "--delete", "--older-than", "1h", "--yes", "--json")
    answer = command(*words, endpoints=shared.endpoints)
    assert answer.ends() == ExitCode.OK, answer.err
    assert json.loads(answer.out) == []
    assert listed(command, shared, run)["idle_s"] < 3600
