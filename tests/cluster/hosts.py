"""A fleet on several hosts: network namespaces with servers, workers, perhaps a coordinator.

Hosts have names and a network of their own, and share the disk: each worker host has its own cache,
and may open no data but what it fetches.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.processes import Child, end, import_path
from planning.namespaces import Host, hosts

SERVERS = 2
PORT, DELAYED_PORT = 6379, 6380
WAIT_S = 120.0
HERE = Path(__file__).parent


@dataclass
class HostFleet:
    """``parameters`` are the hosts of the parameter servers, ``workers`` those of workers.

    Workers are started one by one, by their host. ``coordinator`` is a host where nothing runs yet.
    """

    control: Host
    parameters: list[Host]
    workers: list[Host]
    coordinator: Host
    folder: Path
    endpoints: Endpoints
    stack: ExitStack
    started: dict[str, Child] = field(default_factory=dict)

    def start_worker(self, host: Host, processes: int = 1, roots: str | None = None) -> None:
        """Start a worker that opens no file of a run, or what is in ``roots``."""
        cache, nothing = self.cache(host), self.folder / "nothing"
        for each in (cache, nothing):
            each.mkdir(exist_ok=True)
        variables = {
            **os.environ,
            "DISTBELIEF_BROKER": self.endpoints.broker,
            "DISTBELIEF_PARAMETER_SERVERS": ",".join(self.endpoints.parameter_servers),
            "DISTBELIEF_ALLOWED_IMPORTS": "slowmodels",
            "DISTBELIEF_CACHE": str(cache),
            "DISTBELIEF_DATA_ROOTS": str(nothing) if roots is None else roots,
            "PYTHONPATH": os.pathsep.join([str(HERE), import_path()]),
        }
        words = [sys.executable, "-P", "-m", "celery", "-A", "distbelief", "worker"]
        words += [f"--concurrency={processes}", "--without-gossip", "--without-mingle"]
        command = host.command(*words, f"--hostname=w@{host.name}", "--loglevel=INFO")
        child = Child.start(host.name, command, self.folder, variables)
        self.started[host.name] = child
        self.stack.callback(end, [child], 0.0)

    def cache(self, host: Host) -> Path:
        """The cache of a worker's host."""
        return self.folder / f"cache-{host.name}"

    def fetched(self) -> list[int]:
        """How many data sets each host has fetched whose worker was started."""
        caches = [self.cache(each) for each in self.workers if each.name in self.started]
        return [sum(path.is_dir() for path in cache.glob("staged-*")) for cache in caches]


@contextmanager
def fleet(
    folder: Path, workers: int, megabits: float | None = None, delay_s: float = 0.0
) -> Iterator[HostFleet]:
    """Hosts with servers, and for so many workers; one of the parameter servers is far away."""
    with ExitStack() as stack:
        found = stack.enter_context(hosts(2 + SERVERS + workers, megabits))
        control, coordinator, *others = found
        parameters, worker_hosts = others[:SERVERS], others[SERVERS:]
        for host in (control, *parameters):
            stack.enter_context(_server(host, folder))
        urls = [f"redis://{host.address}:{PORT}" for host in parameters]
        if delay_s:
            stack.enter_context(_delay(parameters[-1], folder, delay_s))
            urls[-1] = f"redis://{parameters[-1].address}:{DELAYED_PORT}"
        endpoints = Endpoints(f"redis://{control.address}:{PORT}", tuple(urls))
        with closing(Servers([endpoints.broker, *urls])) as servers:
            for index in range(len(servers)):
                servers.one("PING", server=index, timeout_s=WAIT_S)
        yield HostFleet(control, parameters, worker_hosts, coordinator, folder, endpoints, stack)


@contextmanager
def _server(host: Host, folder: Path) -> Iterator[None]:
    module = library()
    words = [binaries.find().path, "--port", str(PORT), "--bind", host.address, "127.0.0.1"]
    words += ["--protected-mode", "no", "--save", "", "--dir", str(folder)]
    words += ["--maxmemory-policy", "noeviction"]
    if module is not None:
        words += ["--loadmodule", str(module)]
    child = Child.start(f"server-{host.name}", host.command(*words), folder, dict(os.environ))
    try:
        yield
    finally:
        end([child], 0.0)


@contextmanager
def _delay(host: Host, folder: Path, delay_s: float) -> Iterator[None]:
    words = [sys.executable, str(HERE / "delaying.py"), host.address, str(DELAYED_PORT)]
    command = host.command(*words, str(PORT), str(delay_s))
    child = Child.start(f"delay-{host.name}", command, folder, dict(os.environ))
    try:
        yield
    finally:
        end([child], 0.0)
