"""Several hosts: hosts are cut off and come back, data are fetched from the coordinator alone.

Needs network namespaces: root on Linux. The whole scenario, with slow links, a delay, longer cuts
and a host that is added, is `tests/benchmarks/hosts.py`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from distbelief import Result, train
from distbelief.app.client.servers import Servers
from distbelief.app.errors import WorkFailed
from distbelief.coordinator.progress.events import Event
from planning.namespaces import Host, why_not
from tests.cluster.hosts import HostFleet, fleet

WORKERS = 3
UPDATES = re.compile(r"updates applied: (\d+) on each of \d+ shards, (\d+) planned")

#: How long a worker's host is away, longer than a lease, and a server's at most.
LEASE_S, AWAY_S, LONGEST_S = 1.0, 3.0, 30.0
POLL_S = 0.05


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[HostFleet]:
    if why := why_not():
        pytest.skip(why)
    with fleet(tmp_path, WORKERS) as found:
        for host in found.workers:
            found.start_worker(host)
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random, file = np.random.default_rng(1), tmp_path / "mine.csv"
    features = random.normal(size=(600, 5))
    labels = np.where(features @ random.normal(size=5) > 0, "yes", "no")
    rows = [
        ",".join([*map(str, each), label]) for each, label in zip(features, labels, strict=True)
    ]
    file.write_text("\n".join(["a,b,c,d,e,label", *rows]))
    return file


class Cuts:
    """Cuts hosts off when a run has reported so often, and joins them again.

    A parameter server's host is away until somebody ``said`` that it is waited for.
    """

    def __init__(self, hosts: HostFleet, said: list[str], kind: str, at: dict[int, Host]) -> None:
        self._servers, self._said = hosts.parameters, said
        self._kind, self._at, self._seen = kind, at, 0
        self._threads: list[threading.Thread] = []

    def hear(self, event: Event) -> None:
        if event.kind != self._kind:
            return
        self._seen += 1
        if host := self._at.get(self._seen):
            host.cut_off()
            self._threads.append(threading.Thread(target=self._join_again, args=[host]))
            self._threads[-1].start()

    def over(self) -> None:
        """Wait until all are back."""
        assert len(self._threads) == len(self._at), "the run was too short"
        for each in self._threads:
            each.join()

    def _join_again(self, host: Host) -> None:
        deadline = time.monotonic() + LONGEST_S
        while host in self._servers and not waited_for(host, self._said):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        if host not in self._servers:
            time.sleep(AWAY_S)
        host.join_again()


def trained(
    hosts: HostFleet, data: Path, said: list[str], hear: Callable[[Event], None], **settings: Any
) -> Result:
    broker, parameter_servers = hosts.endpoints.broker, hosts.endpoints.parameter_servers
    return train(
        data=str(data),
        broker=broker,
        parameter_servers=parameter_servers,
        say=said.append,
        on_event=hear,
        folder=str(data.parent / "runs"),
        wait_seconds=60.0,
        lease_seconds=LEASE_S,
        model="slowmodels:Sleepy",
        replicas=WORKERS,
        n_push=1,
        n_fetch=1,
        **{"seed": 1, "stage_data": "control", **settings},
    )


def staged_keys(hosts: HostFleet) -> list[bytes]:
    with closing(Servers([hosts.endpoints.broker])) as control:
        return [key for key in control.one("KEYS", "*") if b"staged" in key]


def waited_for(host: Host, said: list[str]) -> bool:
    return any(line.startswith("waiting for") and host.address in line for line in said)


@pytest.mark.timeout(600)
def test_hosts_that_are_cut_off_cost_time_and_nothing_else(
    hosts: HostFleet, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both algorithms; data that only the coordinator has; a worker's host away, and a server's."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    said = list[str]()
    with pytest.raises(WorkFailed, match="--stage-data"):
        trained(hosts, data, said, lambda _: None, stage_data=None, unit_attempts=1)
    assert hosts.fetched() == [0] * WORKERS

    steps = {"model_options": {"seconds": 0.03}, "passes": 6, "batch_size": 10, "unit_steps": 10}
    cuts = Cuts(hosts, said, "unit", {3: hosts.workers[0], 8: hosts.parameters[0]})
    result = trained(hosts, data, said, cuts.hear, **steps)
    cuts.over()
    found = UPDATES.search("\n".join(result.details))
    assert found is not None
    assert found[1] == found[2]
    assert result.heldout is not None
    assert result.heldout["accuracy"] > 0.9
    assert waited_for(hosts.parameters[0], said), said
    assert hosts.fetched() == [1] * WORKERS  # once a host, whoever trains afterwards
    assert staged_keys(hosts) == []

    batch = {
        "algorithm": "sandblaster",
        "iterations": 5,
        "portions": 6,
        "model_options": {"seconds": 0.05},
    }
    undisturbed = trained(hosts, data, said, lambda _: None, **batch)
    said.clear()
    cuts = Cuts(hosts, said, "iteration", {1: hosts.workers[1], 2: hosts.parameters[1]})
    disturbed = trained(hosts, data, said, cuts.hear, **batch)
    cuts.over()
    assert waited_for(hosts.parameters[1], said), said
    one, other = (load_file(each.model_file) for each in (disturbed, undisturbed))
    assert all(np.array_equal(one[name], tensor) for name, tensor in other.items())
    assert disturbed.heldout == undisturbed.heldout
    assert hosts.fetched() == [1] * WORKERS
    assert staged_keys(hosts) == []
