"""A run is watched while it goes on: from another terminal, by Prometheus, with TensorBoard."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.views.snapshot import ProgressSnapshot
from tests.cluster.fleets import workers
from tests.cluster.resumable import PLANNED, SHARDS, begun, ends_exactly, resumed

Start = Callable[..., Any]
Until = Callable[..., None]


def scraped(training: Any) -> dict[str, float]:
    """What the endpoint of a training answers; values of labels are behind the name."""
    (url,) = re.findall(r"^metrics: (http://127\.0\.0\.1:\d+/metrics)$", training.err, re.MULTILINE)
    with urllib.request.urlopen(url) as answer:  # noqa: S310 (our own)
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        " ".join((sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "run"))): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


def test_a_run_is_followed_and_measured_until_its_end_over_the_death_of_its_coordinator(
    fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    watched = ("--metrics-port=0", f"--tensorboard={tmp_path / 'curves'}")
    with workers(fleet, "one", "other"):
        training = begun(command, tmp_path, fleet.endpoints, *watched)
        run, folder_flags = training.run, ("--folder", tmp_path / "runs")
        follower = command("status", run, "--follow", *folder_flags)
        documents = command("status", run, "--follow", "--json", *folder_flags)
        until(lambda: "\npass " in follower.out, "a line of progress", 10.0)
        has_its_metrics(training)
        training.process.kill()
        until(lambda: f"run {run}: dead" in follower.out, "the end of its lease", 10.0)
        heir = resumed(command, run, tmp_path)
        ends_exactly(heir, tmp_path)
        assert follower.ends(10.0) == ExitCode.OK, follower.err
        assert documents.ends(10.0) == ExitCode.OK, documents.err
    assert "ended: all passes done" in follower.out
    told = [json.loads(line) for line in documents.out.splitlines()]
    states = [state for state, _ in groupby(each["state"] for each in told)]
    assert states == ["running", "dead", "running", "finished"]
    moments = [ProgressSnapshot.from_json(each["moment"]) for each in told if each["moment"]]
    assert all(moments)
    assert max(moment.seconds for moment in moments if moment) > 0
    files = list((tmp_path / "curves" / run).glob("events.out.tfevents.*"))
    assert len(files) == 2  # one of each coordinator
    assert max(file.stat().st_size for file in files) > 1000


def has_its_metrics(training: Any) -> None:
    """The endpoint counts what is done."""
    found = scraped(training)
    assert 0 < found["distbelief_steps_total"] < PLANNED
    assert found["distbelief_pushes_total"] <= found["distbelief_steps_total"]
    assert 0 < found["distbelief_heldout accuracy"] <= 1
    for shard in range(SHARDS):
        assert found[f"distbelief_shard_applied_pushes {shard}"] > 0
    assert found["distbelief_workers_at_work"] == 2
    assert found["distbelief_checkpoints_total"] > 0
