"""A program is told what it may not ask of train() before anything is started."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ConfigError, DataError
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.api import _configure, train
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster

PLACE = Endpoints("redis://here:1", ("redis://there:2", "redis://there:3"))


def test_settings_go_before_the_configuration() -> None:
    run, where = _configure(
        RunConfig(passes=3, seed=5), ClusterConfig(folder="here"), {"passes": 4, "output": "m"}
    )
    assert (run.passes, run.seed) == (4, 5)
    assert (where.folder, where.output) == ("here", "m")


def test_a_cluster_that_runs_is_where_the_run_goes() -> None:
    _, where = _configure(None, PLACE, {"folder": "here"})
    assert where == ClusterConfig(
        broker=PLACE.broker,
        control=PLACE.control,
        parameter_servers=PLACE.parameter_servers,
        folder="here",
    )


@pytest.mark.parametrize("name", ["servers", "broker", "processes"])
def test_a_cluster_that_runs_is_not_described_again(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is not allowed beside a cluster that runs"):
        _configure(None, PLACE, {name: 3})


def test_a_misspelt_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'learning_rat': did you mean 'learning"):
        train(learning_rat=0.1)


def test_a_setting_by_the_name_of_another_library_leads_to_ours() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'epochs': did you mean 'passes'\?"):
        train(epochs=3)
    with pytest.raises(ConfigError, match=r"unknown setting 'C': set l2 = 1 / \(C \* n\)"):
        train(C=1.0)


@pytest.mark.parametrize("data", [np.ones((2, 2)), (np.ones((2, 2)),), 3])
def test_data_are_a_source_or_a_pair(data: Any) -> None:
    with pytest.raises(ConfigError, match=r"data must be a source, or \(features, targets\)"):
        train(data=data)


def test_unusable_arrays_leave_nothing_in_the_cache(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="must have equally many rows"):
        train(data=(np.ones((3, 2)), [0, 1]))
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_is_not_running_says_so() -> None:
    with pytest.raises(ConfigError, match="the local cluster is not running: use it in 'with"):
        train(cluster=LocalCluster())


def test_a_copy_of_a_cluster_is_itself_and_its_pickle_are_its_endpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = LocalCluster()
    assert copy.deepcopy(cluster) is cluster
    monkeypatch.setattr(LocalCluster, "endpoints", PLACE)
    make, arguments = cluster.__reduce__()  # what goes to the processes of a search
    assert make(*arguments) == PLACE


def test_a_setting_that_changes_nothing_is_warned_of_before_anything_begins() -> None:
    config = RunConfig(algorithm="sandblaster", learning_rate=0.1, data="nowhere.csv")
    with (
        pytest.warns(UserWarning, match="learning_rate = 0.1 has no effect with algorithm = sand"),
        pytest.raises(DataError, match="nowhere"),
    ):
        train(config)
