"""Private servers for the tests: of the bundled program always, of installed ones as well.

They live as long as the test session and are never flushed: each test has a run id of
its own instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from itertools import count

import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import configure
from distbelief.app.store.engines import choose_engines
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from tests.redis.fake import fake_control_server
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import PROGRAMS, existing, usable

ClusterOf = Callable[[ServerProgram], LocalCluster]
ServersOf = Callable[[ServerProgram, Engine], Servers]


@pytest.fixture(scope="session")
def cluster_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOf]:
    """Starts a control server and two parameter servers of a program, once."""
    with ExitStack() as stack:

        @cache
        def start(program: ServerProgram) -> LocalCluster:
            folder = tmp_path_factory.mktemp("servers")
            cluster = LocalCluster(
                servers=2, processes=0, folder=folder, wait_s=20.0, program=program
            )
            return stack.enter_context(cluster)

        yield start


@pytest.fixture(scope="session")
def servers_of(cluster_of: ClusterOf) -> Iterator[ServersOf]:
    """Connects to the two parameter servers of a program, once for each engine."""
    with ExitStack() as stack:

        @cache
        def connect(program: ServerProgram, engine: Engine) -> Servers:
            urls = cluster_of(program).endpoints.parameter_servers
            servers = stack.enter_context(connected(*urls))
            choose_engines(servers, engine.value, timeout_s=20.0)
            return servers

        yield connect


@pytest.fixture(scope="session", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> ServerProgram:
    return existing(request.param)


@pytest.fixture(scope="session", params=list(Engine))
def engine(request: pytest.FixtureRequest) -> Engine:
    """What computes on the servers."""
    return usable(request.param)


@pytest.fixture(scope="session")
def servers(servers_of: ServersOf, program: ServerProgram, engine: Engine) -> Servers:
    """Two parameter servers."""
    return servers_of(program, engine)


@pytest.fixture
def private(program: ServerProgram) -> Iterator[PrivateServer]:
    """A server that the test may do to what it likes."""
    with PrivateServer(program) as server:
        yield server


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """For calls that have to wait for what the test does next."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def say(pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line that pytest does not capture: a figure for whoever reads the log."""

    def line(text: str) -> None:
        with capsys.disabled():
            pytestconfig.get_terminal_writer().line(f"\n{text}")

    return line


@pytest.fixture(scope="session")
def new_run() -> Callable[[], str]:
    """Makes run ids that no other test of the session has."""
    numbers = count()
    return lambda: f"test-{next(numbers)}"


@pytest.fixture
def run_id(new_run: Callable[[], str]) -> str:
    return new_run()


@pytest.fixture(scope="session")
def fake_url() -> Iterator[str]:
    with fake_control_server() as url:
        yield url


@pytest.fixture(scope="session", params=["fakeredis", *PROGRAMS])
def control_server(
    request: pytest.FixtureRequest, fake_url: str, cluster_of: ClusterOf
) -> Iterator[Servers]:
    """The control server: a fake one, and one of each program."""
    is_fake = request.param == "fakeredis"
    url = fake_url if is_fake else cluster_of(existing(request.param)).endpoints.broker
    with connected(url) as clients:
        yield clients


@pytest.fixture
def record(run_id: str) -> RunRecord:
    config, _ = configure({"replicas": 3, "hidden": [5], "model_options": {"alpha": [1.5, 2.0]}})
    layout = Layout((TensorSpec("w", (5, 2)), TensorSpec("b", (2,), False)), 4, 3, 2)
    engines = (Engine.LUA, Engine.NATIVE)
    addresses = ("redis://a", "redis://b")
    return RunRecord(run_id, config, layout, addresses, "abc", Schema(5, 2), engines)
