"""Private servers for the tests: of the bundled program always, of installed ones as well.

They live as long as the test session and are never flushed: each test has a run id of
its own instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count

import pytest

from app.store.servers import Servers
from coordinator.binaries import ServerProgram
from coordinator.local import LocalCluster
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import PROGRAMS, existing

ClusterOf = Callable[[ServerProgram], LocalCluster]
ServersOf = Callable[[ServerProgram], Servers]


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
    """Connects to the two parameter servers of a program, once."""
    with ExitStack() as stack:

        @cache
        def connect(program: ServerProgram) -> Servers:
            urls = cluster_of(program).endpoints.parameter_servers
            return stack.enter_context(connected(*urls))

        yield connect


@pytest.fixture(scope="session", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> ServerProgram:
    return existing(request.param)


@pytest.fixture(scope="session")
def servers(servers_of: ServersOf, program: ServerProgram) -> Servers:
    """Two parameter servers."""
    return servers_of(program)


@pytest.fixture
def private(program: ServerProgram) -> Iterator[PrivateServer]:
    """A server that the test may do to what it likes."""
    with PrivateServer(program) as server:
        yield server


@pytest.fixture(scope="session")
def new_run() -> Callable[[], str]:
    """Makes run ids that no other test of the session has."""
    numbers = count()
    return lambda: f"test-{next(numbers)}"


@pytest.fixture
def run_id(new_run: Callable[[], str]) -> str:
    return new_run()
