"""Hosts that are network namespaces, with links of a limited speed in both directions.

Needs root, and a kernel that lets us (``ip netns``, veth, a bridge, ``tc ... tbf``). All of it is
gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries

#: Of this process: others make hosts at the same time.
NAME, NETWORK = f"db{os.getpid() % 100_000}", f"10.213.{os.getpid() % 250}"
BRIDGE = f"{NAME}0"
HERE = f"{NETWORK}.1"
FIRST_PORT = 17_380

WAIT_S, POLL_S = 60.0, 0.1

#: What a link lets through at once: a segment of the kernel's has up to 64 kB, and what a link may
#: catch up with after a pause makes it faster than it is said to be.
LEAST_BURST_BYTES, BURST_S = 96 << 10, 0.002


@dataclass(frozen=True)
class Host:
    """A network namespace; ``outside`` is the end of its link that is not in it."""

    name: str
    address: str
    outside: str

    def command(self, *words: str) -> list[str]:
        """The command that runs on it, under its name."""
        named = 'hostname "$0" && exec "$@"'
        inside = ["ip", "netns", "exec", self.name, "unshare", "--uts"]
        return [*inside, "sh", "-c", named, self.name, *words]

    def cut_off(self) -> None:
        """Nothing comes or goes any more; nobody is told."""
        _ip("link", "set", self.outside, "down")

    def join_again(self) -> None:
        _ip("link", "set", self.outside, "up")


def why_not() -> str:
    """Why there can be no such hosts here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    missing = [each for each in ("ip", "tc", "unshare") if shutil.which(each) is None]
    if missing:
        return f"the commands {', '.join(missing)} are not there (package iproute2)"
    try:
        with hosts(1, 100.0) as (host,):
            _run(*host.command("true"))
            return ""
    except subprocess.CalledProcessError as error:
        return f"'{' '.join(error.cmd)}' is not allowed here: {error.stderr.strip()}"


@contextmanager
def hosts(count: int, megabits: float | None) -> Iterator[list[Host]]:
    """Namespaces on one bridge; each link has so many megabits a second both ways."""
    with ExitStack() as stack:
        _ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(_ip, "link", "del", BRIDGE)
        _ip("addr", "add", f"{HERE}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        found = []
        for index in range(1, count + 1):
            name, outside, inside = f"{NAME}-{index}", f"{NAME}o{index}", f"{NAME}i{index}"
            address = f"{NETWORK}.{10 + index}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
            # The namespace would take it along some time after it is gone itself.
            stack.callback(_ip, "link", "del", outside)
            _ip("link", "set", outside, "master", BRIDGE, "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", inside)
            _ip("-n", name, "link", "set", inside, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            if megabits is not None:
                _limit(outside, megabits)
                _limit(inside, megabits, "ip", "netns", "exec", name)
            found.append(Host(name, address, outside))
        yield found


def _limit(device: str, megabits: float, *before: str) -> None:
    rate = f"{megabits:g}mbit"
    burst = max(LEAST_BURST_BYTES, round(BURST_S * megabits * 1e6 / 8))
    words = ("tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", rate)
    _run(*before, *words, "burst", str(burst), "latency", "200ms")


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


@contextmanager
def fleet(servers: int, workers: int, megabits: float | None) -> Iterator[Mapping[str, str]]:
    """Servers here, and a worker of one process in each of so many namespaces: what names them.

    As in the environment of a worker.
    """
    with ExitStack() as stack:
        found = stack.enter_context(hosts(workers, megabits))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [FIRST_PORT + index for index in range(servers + 1)]
        for port in ports:
            stack.enter_context(_server(port, folder))
        broker, *parameters = (f"redis://{HERE}:{port}" for port in ports)
        variables = {
            "DISTBELIEF_BROKER": broker,
            "DISTBELIEF_PARAMETER_SERVERS": ",".join(parameters),
        }
        for host in found:
            stack.enter_context(_worker(host.name, folder, variables))
        yield variables


@contextmanager
def _server(port: int, folder: Path) -> Iterator[None]:
    module = library()
    words = [binaries.find().path, "--port", str(port), "--bind", HERE, "--protected-mode", "no"]
    words += ["--save", "", "--dir", str(folder), "--maxmemory-policy", "noeviction"]
    if module is not None:
        words += ["--loadmodule", str(module)]
    with _process(words, folder / f"{port}.log", {}), closing(Servers([_url(port)])) as server:
        server.one("PING", timeout_s=WAIT_S)
        yield


def _url(port: int) -> str:
    return f"redis://{HERE}:{port}"


@contextmanager
def _worker(name: str, folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    words = ["ip", "netns", "exec", name, sys.executable, "-P", "-m", "celery"]
    words += ["-A", "distbelief", "worker", "--concurrency=1", f"--hostname={name}@%h"]
    words += ["--without-gossip", "--without-mingle"]
    with _process(words, folder / f"{name}.log", variables):
        yield


@contextmanager
def _process(words: list[str], log: Path, variables: Mapping[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, env={**os.environ, **variables}
        )
        try:
            yield
        finally:
            process.terminate()
            deadline = time.monotonic() + 10.0
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
            process.kill()
            process.wait()
