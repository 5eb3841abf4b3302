"""Clusters and sentinels: every command gets to the node that has its keys, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as waited
from contextlib import closing

import numpy as np
import pytest

from distbelief.app.client import sweep
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused, ServerUnreachable
from distbelief.app.layout.keys import control, patterns, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.runs.staged import StagedOnServer
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.native import library
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.doctor import examination
from distbelief.coordinator.doctor.findings import Severity
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing
from tests.redis.topologies import PrivateCluster

PREFIX = "team1:"
LAYOUT = Layout((TensorSpec("w", (24,)),), block_numbers=2, n_shards=6, n_servers=1)
TOKEN = Token(fence=1, stream=0, attempt=1)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateCluster]:
    options = () if library() is None else ("--loadmodule", str(library()))
    program = existing(binaries.bundled())
    with PrivateCluster(program, replicas=False, options=options) as cluster:
        yield cluster


@pytest.fixture
def clients(cluster: PrivateCluster) -> Iterator[Servers]:
    with connected(f"{cluster.url}?key_prefix={PREFIX}", deadline_s=PATIENCE_S) as servers:
        choose_engines(servers, "auto", PATIENCE_S)
        yield servers


def place(run: str, index: int, what: str = "meta") -> str:
    return PREFIX + shard(run, index, what)


@pytest.fixture
def moved(cluster: PrivateCluster) -> Callable[[str, int], None]:
    """Moves a shard to another node."""

    def move(run: str, index: int) -> None:
        owner, masters = cluster.owner(place(run, index)), cluster.nodes
        cluster.move(place(run, index), masters[(masters.index(owner) + 1) % 3])

    return move


def stored(clients: Servers, run: str) -> RedisParameterStore:
    store = RedisParameterStore(clients, run, LAYOUT, SGD(1.0), fence=1)
    store.create(np.zeros(24))
    store.announce(TOKEN)
    return store


def test_pushes_follow_shards_that_move_to_nodes_without_our_scripts(
    clients: Servers, cluster: PrivateCluster, moved: Callable[[str, int], None], run_id: str
) -> None:
    store = stored(clients, run_id)
    for sequence in range(1, 4):
        pushed = store.push(TOKEN, sequence, np.ones(24), fetch=True)
        assert pushed.answers == ("APPLIED",) * 6
        for node in cluster.nodes:
            node.ask("SCRIPT", "FLUSH")
        for index in range(6):
            moved(run_id, index)
    assert store.fetch().vector.tolist() == [-3.0] * 24
    assert [each.applied for each in store.counts()] == [3] * 6


def test_a_shard_that_lies_on_two_nodes_is_waited_for_and_its_parts_are_asked_for(
    clients: Servers, cluster: PrivateCluster, background: ThreadPoolExecutor, run_id: str
) -> None:
    store = stored(clients, run_id)
    owner = cluster.owner(place(run_id, 0))
    to = cluster.nodes[(cluster.nodes.index(owner) + 1) % 3]
    _, source = cluster.begin_moving(place(run_id, 0), to)
    source.ask("MIGRATE", "127.0.0.1", to.port, place(run_id, 0), 0, 5000)
    # One key is found where it is by now, and a script that needs both waits.
    assert clients.one("HGET", shard(run_id, 0, "meta"), "clock") == b"0"
    push = background.submit(store.push, TOKEN, 1, np.ones(24))
    waited([push], timeout=0.3)
    assert not push.done()
    cluster.move(place(run_id, 0), to)
    assert push.result(PATIENCE_S).answers == ("APPLIED",) * 6
    assert [each.applied for each in store.counts()] == [1] * 6


def test_a_node_that_has_no_slot_yet_is_asked(
    clients: Servers, cluster: PrivateCluster, run_id: str
) -> None:
    store = stored(clients, run_id)
    with cluster.joined() as fresh:
        _, source = cluster.begin_moving(place(run_id, 0), fresh)
        for what in ("meta", "params"):
            source.ask("MIGRATE", "127.0.0.1", fresh.port, place(run_id, 0, what), 0, 5000)
        assert store.push(TOKEN, 1, np.ones(24)).answers == ("APPLIED",) * 6
        cluster.move(place(run_id, 0), fresh)
        assert store.push(TOKEN, 2, np.ones(24)).answers == ("APPLIED",) * 6
        cluster.move(place(run_id, 0), source)
    assert [each.applied for each in store.counts()] == [2] * 6


def test_staged_data_lie_on_a_cluster_under_its_prefix_and_follow_their_slot(
    clients: Servers, cluster: PrivateCluster, run_id: str
) -> None:
    depot, key = StagedOnServer(clients, run_id), PREFIX + control(run_id, f"staged:{'d' * 32}:0")
    for piece in range(3):
        depot.write("d" * 32, piece, bytes([piece]))
    owner = cluster.owner(key)
    assert owner.ask("EXISTS", key) == 1
    cluster.move(key, cluster.nodes[(cluster.nodes.index(owner) + 1) % 3])
    assert depot.read("d" * 32, range(4)) == [b"\0", b"\1", b"\2", None]
    assert depot.missing("d" * 32, range(4)) == [3]
    depot.remove("d" * 32, range(4))
    assert depot.missing("d" * 32, range(4)) == [0, 1, 2, 3]


def test_keys_of_all_nodes_are_found_and_removed_and_no_strangers(
    clients: Servers, cluster: PrivateCluster, run_id: str
) -> None:
    store, pattern = stored(clients, run_id), patterns(run_id)[1]
    with connected(cluster.url) as bare:
        stored(bare, run_id)  # another deployment, with a run of the same name
        before = sweep.count(bare, pattern).keys
        assert sweep.count(clients, pattern).keys == before == 12
        assert sweep.unlink(clients, pattern).keys == 12
        assert sweep.count(clients, pattern).keys == 0
        assert sweep.count(bare, pattern).keys == before
    assert store.shard_states() == [None] * 6


def test_the_doctor_names_every_node(cluster: PrivateCluster) -> None:
    where = ClusterConfig(broker=cluster.url, parameter_servers=(cluster.url,))
    found = examination.examine(RunConfig(), where, described=False)
    named = {each.subject for each in found if "one of 3 masters of a cluster" in each.what}
    wanted = {f"127.0.0.1:{node.port} of {cluster.url}" for node in cluster.nodes}
    assert named == {
        f"{kind} server {node}" for kind in ("control", "parameter") for node in wanted
    }
    assert [each.subject for each in found if each.severity is Severity.ERROR] == ["workers"]


def test_one_node_alone_is_named_as_what_it_is(cluster: PrivateCluster) -> None:
    with (
        connected(cluster.nodes[0].tcp_url) as servers,
        pytest.raises(ServerRefused, match=r"node of a cluster .* redis\+cluster://"),
    ):
        servers.call([Command(0, ("GET", f"key{index}")) for index in range(20)])


def test_a_server_alone_is_no_cluster(private: PrivateServer) -> None:
    url = private.tcp_url.replace("redis:", "redis+cluster:")
    with connected(url) as servers, pytest.raises(ServerRefused, match="names no nodes"):
        servers.one("GET", "key")


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("redis+cluster://127.0.0.1:1", r"127\.0\.0\.1:1 gave no answer within 0\.2"),
        ("sentinel://127.0.0.1:1/trainers", "No master found for 'trainers'"),
    ],
)
def test_that_nobody_tells_where_a_server_is_is_told(url: str, what: str) -> None:
    with (
        closing(Servers([url], deadline_s=0.2)) as servers,
        pytest.raises(ServerUnreachable, match=what),
    ):
        servers.one("GET", "key")
