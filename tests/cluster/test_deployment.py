"""What deploy/ says is tried: its configurations, users, commands and health checks.

No container engine is needed: the commands of compose.yaml run here as they stand, but for the
places that a container would give them.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import CELERY_PREFIX, WANTED
from distbelief.app.store import native
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.processes import Child, end

Until = Callable[..., None]

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
SERVERS = ("control", "parameters1", "parameters2")
UNITS = (
    *("distbelief-control.service", "distbelief-parameters@.service"),
    *("distbelief-worker.service", "distbelief-train@.service"),
)
GRACE_S = 10.0
ADMIN = "of-this-test-alone"


def services() -> dict[str, Any]:
    """The services of compose.yaml, with what they share filled in."""
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    found: dict[str, Any] = document["services"]
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Fleet:
    """All services of compose.yaml but the coordinator, as processes of this machine."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in SERVERS})
    web: int = field(default_factory=free_port)
    children: list[Child] = field(default_factory=list)

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def environment(self, service: str) -> dict[str, str]:
        """What compose.yaml gives to a client, with the secrets where they are here."""
        told = services()[service]["environment"].items()
        here = {name: path.replace("/run/secrets", str(self.secrets)) for name, path in told}
        return {**os.environ, **here}

    def make_secrets(self) -> None:
        """Run make-secrets; the servers' names become addresses of this machine."""
        subprocess.run([DEPLOY / "make-secrets", self.secrets], check=True, timeout=30)
        for kind in ("control", "parameters"):  # whoever may read the log of what was refused
            file = self.secrets / f"{kind}.acl"
            file.chmod(0o600)
            file.write_text(f"{file.read_text()}user admin on >{ADMIN} ~* &* +@all\n")
        for file in (*self.secrets.glob("*-broker"), *self.secrets.glob("*-servers")):
            file.chmod(0o600)
            text = file.read_text()
            for server, port in self.ports.items():
                text = text.replace(f"@{server}:6379", f"@127.0.0.1:{port}")
            file.write_text(text)

    def words(self, service: str, words: list[str]) -> list[str]:
        """A service's command, with the places of this machine in place of a container's."""
        places = {
            "/run/secrets/control_acl": str(self.secrets / "control.acl"),
            "/run/secrets/parameters_acl": str(self.secrets / "parameters.acl"),
            "/run/secrets": str(self.secrets),
            "/etc/distbelief": str(DEPLOY),
            "/opt/distbelief/engine.so": str(native.library()),
            "/work/server": str(self.folder),
            "valkey-server": binaries.find().path,
            "localhost": "127.0.0.1",
            "--address=0.0.0.0": "--address=127.0.0.1",
            "5555": str(self.web),
            "6379": str(self.ports.get(service, 0)),
        }
        found = ["127.0.0.1" if word == "*" else word for word in words]
        for there, here in places.items():
            found = [word.replace(there, here) for word in found]
        if found[0] == "celery":
            return [sys.executable, "-m", *found]
        return [sys.executable, *found[1:]] if found[0] == "python" else found

    def start(self, service: str) -> Child:
        command = self.words(service, services()[service]["command"])
        environment = dict(os.environ) if service in SERVERS else self.environment(service)
        child = Child.start(service, command, self.folder, environment)
        self.children.append(child)
        return child

    def is_healthy(self, service: str) -> bool:
        """What the service's health check answers; an error with its log if a service is gone."""
        kind, *words = services()[service]["healthcheck"]["test"]
        assert kind == "CMD"
        for child in self.children:
            child.check()
        command = self.words(service, words)
        return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0

    def client(self, server: str, user: str, password: str) -> redis.Redis:
        port, once = self.ports[server], Retry(NoBackoff(), 0)
        return redis.Redis("127.0.0.1", port, username=user, password=password, retry=once)

    def refused(self) -> list[str]:
        """What users were refused, by any server."""
        found = []
        for server in SERVERS:
            with closing(self.client(server, "admin", ADMIN)) as admin:
                found += [
                    f"{server}: {entry['username']} {entry['reason']} {entry['object']}"
                    for entry in admin.acl_log()
                ]
        return found

    def password(self, user: str = "coordinator") -> str:
        if user in ("reader", "monitor"):
            return (self.secrets / user).read_text().strip()
        return (self.secrets / f"{user}-broker").read_text().split("@")[0].rpartition(":")[2]

    def wrong_broker(self) -> dict[str, str]:
        """The coordinator's own password, for a user who is not there."""
        url = (self.secrets / "coordinator-broker").read_text().strip()
        return {"DISTBELIEF_BROKER": url.replace("//coordinator:", "//nobody:")}

    def coordinator(
        self, *words: str, broker: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "distbelief", *words, "--folder", str(self.folder / "runs")],
            env={**self.environment("coordinator"), **(broker or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, until: Until) -> Iterator[Fleet]:
    """The servers and a worker, with the users of make-secrets."""
    if native.library() is None:
        pytest.skip("the native engine is not built")
    found = Fleet(tmp_path_factory.mktemp("fleet"))
    found.make_secrets()
    try:
        for name in (*SERVERS, "worker", "flower"):
            found.start(name)
        for name in (*SERVERS, "flower"):
            until(lambda name=name: found.is_healthy(name), f"health of {name}")
        yield found
    finally:
        end(found.children[::-1], GRACE_S)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_the_users_of_the_access_lists_may_do_all_that_a_training_needs(
    fleet: Fleet, algorithm: str
) -> None:
    words = ("train", "--algorithm", algorithm, "--passes", "3", "--iterations", "5")
    trained = fleet.coordinator(*words, "--checkpoint-seconds", "0.1", "--max-staleness", "4")
    assert trained.returncode == 0, trained.stderr
    assert "on 2 servers (native engine)" in trained.stderr
    assert fleet.password() not in trained.stderr
    for server in SERVERS:
        with closing(fleet.client(server, "coordinator", fleet.password())) as client:
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] > 0


def test_nothing_was_refused_to_anybody_whatever_is_trained(fleet: Fleet) -> None:
    """A client may pass over a refusal (of CLIENT SETINFO, say): the servers note them all."""
    clicks = ("--data", "synthetic:clicks", "--data-option", "examples=500", "--model", "fm")
    tables = (*clicks, "--table-numbers", "10", "--metric", "auc", "--passes", "1")
    rows, file = [f"{row % 7},{row % 2}" for row in range(200)], fleet.folder / "mine.csv"
    file.write_text("\n".join(["x,y", *rows]))
    staged = ("--data", str(file), "--stage-data", "--engine", "lua")
    hybrid = (*staged, "--algorithm", "hybrid", "--passes", "1", "--iterations", "2")
    for words in (tables, hybrid):
        trained = fleet.coordinator("train", *words)
        assert trained.returncode == 0, trained.stderr
    assert fleet.refused() == []
    assert "Error" not in (fleet.folder / "worker.log").read_text()


#: What nobody may who is no administrator, and what each role leaves to another.
FORBIDDEN = {
    "*": [
        *(["FLUSHALL"], ["CONFIG", "SET", "maxmemory", "1"], ["SHUTDOWN"], ["KEYS", "*"]),
        *(["ACL", "LIST"], ["MODULE", "LIST"], ["CLIENT", "LIST"]),
        *(["REPLICAOF", "NO", "ONE"], ["GET", "other"], ["SET", "other", "1"], ["MONITOR"]),
    ],
    "coordinator": [["EVAL", "return 1", "0"]],
    "worker": [
        *(["DEL", "dist:run:{x}:record"], ["DEL", "ps:{x/0}:params"], ["SCAN", "0"]),
        *(["UNLINK", "ps:{x/0}:params"], ["ZADD", "dist:wanted", "1", "x"]),
        *(["EVAL", "return 1", "0"], ["CONFIG", "GET", "*"], ["EXPIRE", "ps:{x/0}:params", "1"]),
        *(["SET", "dist:run:{x}:state", "1"], ["XADD", "dist:run:{x}:events", "*", "a", "b"]),
    ],
    "reader": [
        *(["HSET", "ps:{x/0}:params", "0", "1"], ["HSET", "dist:run:{x}:record", "a", "1"]),
        *(["EVAL", "return 1", "0"], ["LPUSH", "dist:celery:downpour", "x"], ["INFO"]),
    ],
    "monitor": [
        *(["LPUSH", "dist:celery:downpour", "x"], ["ZADD", "dist:wanted", "1", "x"]),
        *(["HGET", "dist:run:{x}:record", "a"], ["HGET", "ps:{x/0}:params", "0"]),
        *(["LRANGE", "dist:celery:downpour", "0", "-1"], ["CONFIG", "GET", "*"]),
    ],
}


@pytest.mark.parametrize("server", SERVERS[:2])
@pytest.mark.parametrize("user", [each for each in FORBIDDEN if each != "*"])
def test_each_role_is_refused_what_it_does_not_need(fleet: Fleet, user: str, server: str) -> None:
    with (
        closing(fleet.client(server, user, fleet.password(user))) as client,
        closing(fleet.client(server, "admin", ADMIN)) as admin,
    ):
        assert client.ping()
        for forbidden in (*FORBIDDEN["*"], *FORBIDDEN[user]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden)
        admin.acl_log_reset()


def test_a_monitor_counts_what_is_wanted_as_keda_does(fleet: Fleet) -> None:
    script = """
    local cmd = {zset = 'zcard', set = 'scard', list = 'llen', hash = 'hlen', none = 'llen'}
    return redis.call(cmd[redis.call('type', KEYS[1]).ok], KEYS[1])"""
    with (
        closing(fleet.client("control", "monitor", fleet.password("monitor"))) as monitor,
        closing(fleet.client("control", "admin", ADMIN)) as admin,
    ):
        assert monitor.eval(script, 1, WANTED) == 0
        admin.zadd(WANTED, {"run/1": 1, "run/2": 1})
        assert monitor.eval(script, 1, WANTED) == 2
        assert monitor.eval(script, 1, f"{CELERY_PREFIX}downpour") == 0
        assert "used_memory" in monitor.info("memory")
        admin.delete(WANTED)


@pytest.mark.parametrize("server", SERVERS)
def test_a_reader_reads_and_writes_nothing_and_nobody_else_gets_in(
    fleet: Fleet, server: str
) -> None:
    password = fleet.password("reader")
    key = "dist:run:{x}:record" if server == "control" else "ps:{x/0}:params"
    with closing(fleet.client(server, "reader", password)) as client:
        assert client.hget(key, "0") is None
        for forbidden in (["HSET", key, "0", "1"], ["HGET", "other", "0"], ["EVAL", "return 1", 0]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden)
    with (
        closing(fleet.client(server, "default", "")) as nobody,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        nobody.ping()


def test_the_worker_answers_its_health_check_and_flower_shows_it(fleet: Fleet) -> None:
    kind, line = services()["worker"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    line = line.replace("$$HOSTNAME", socket.gethostname())
    command = [sys.executable, "-m", *line.split()]
    asked = subprocess.run(
        command,
        env=fleet.environment("worker"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "pong" in asked.stdout, asked.stderr


def test_no_password_is_anywhere_but_in_the_secrets(fleet: Fleet, until: Until) -> None:
    """Command lines, logs, run folders, keys, Flower's pages, metrics and errors."""
    secrets = {fleet.password(user) for user in ("coordinator", "worker", "reader", "monitor")}
    secrets |= {(fleet.secrets / name).read_text().strip() for name in ("metrics", "grafana")}
    flower = (fleet.secrets / "flowerconfig.py").read_text().partition("flower:")[2].split('"')[0]
    assert len({*secrets, flower}) == 7
    texts = {f"{child.command}": " ".join(child.command) for child in fleet.children}
    texts["processes"] = repr([each.info["cmdline"] for each in psutil.process_iter(["cmdline"])])
    for file in fleet.folder.rglob("*"):
        if file.is_file() and fleet.secrets not in file.parents:
            texts[str(file)] = file.read_bytes().decode("latin-1")
    for server in SERVERS:
        with closing(fleet.client(server, "admin", ADMIN)) as admin:
            texts[server] = repr([(key, admin.dump(key)) for key in admin.scan_iter()])
            texts[f"{server} slow"] = repr(admin.slowlog_get(1000))
    opener = urllib.request.build_opener()
    for path in ("", "tasks", "broker", "metrics", "api/workers"):
        opener.addheaders = [("Authorization", f"Basic {b64(f'flower:{flower}')}")]
        with opener.open(f"http://127.0.0.1:{fleet.web}/{path}") as page:
            texts[f"Flower's {path}"] = page.read().decode()
    wrong = fleet.coordinator("train", "--wait-seconds", "0.1", broker=fleet.wrong_broker())
    assert wrong.returncode == ExitCode.AUTHENTICATION
    texts["errors"] = wrong.stderr + wrong.stdout
    found = {where for where, text in texts.items() for each in (*secrets, flower) if each in text}
    assert found == set()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_flower_asks_for_a_password(fleet: Fleet) -> None:
    for path in ("", "tasks", "broker", "api/workers"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{fleet.web}/{path}")
        with refused.value:
            assert refused.value.code == 401, path


def test_the_image_has_what_compose_names() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for name in ("valkey-server", "engine.so", "/work/runs", "/work/cache", "/work/server"):
        assert name in dockerfile
    copied = dockerfile.partition("COPY deploy/")[2].splitlines()[0].split()
    for file in ("control.conf", "parameters.conf"):
        assert file in " ".join(copied)
        assert (DEPLOY / file).exists()
    for service in services().values():
        if service["image"] != "distbelief":
            assert service["image"].partition(":")[2]  # no moving tag
    given = {name for service in services().values() for name in service.get("secrets", [])}
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert given == set(document["secrets"])


def test_secrets_are_not_written_over(tmp_path: Path) -> None:
    command = [DEPLOY / "make-secrets", tmp_path / "secrets"]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    before = (tmp_path / "secrets" / "worker-broker").read_text()
    again = subprocess.run(command, check=False, timeout=30, capture_output=True, text=True)
    assert again.returncode != 0
    assert (tmp_path / "secrets" / "worker-broker").read_text() == before
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit(name: str, tmp_path: Path) -> None:
    analyze, some_program = shutil.which("systemd-analyze"), shutil.which("true")
    if analyze is None or some_program is None:
        pytest.skip("no systemd-analyze on the PATH")
    text = (DEPLOY / name).read_text()
    unit = tmp_path / name.replace("@", "@nightly")
    unit.write_text(re.sub(r"/opt/distbelief/bin/\w+|/usr/bin/valkey-server", some_program, text))
    found = subprocess.run(
        [analyze, "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["control", "parameters"])
def test_a_servers_unit_starts_it_with_its_users(kind: str, tmp_path: Path, until: Until) -> None:
    unit = next(DEPLOY / name for name in UNITS if name.startswith(f"distbelief-{kind}"))
    (said,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    port = free_port()
    _, *words = said.split()
    for there, here in {"%S/distbelief-control": tmp_path, "%d": tmp_path, "%i": port}.items():
        words = [word.replace(there, str(here)) for word in words]
    shutil.copy(DEPLOY / f"{kind}.conf", tmp_path)
    (tmp_path / f"{kind}.acl").write_text(f"user default off\nuser admin on >{ADMIN} ~* &* +@all\n")
    command = [binaries.find().path, *words, "--port", str(port)]
    child = Child.start(kind, command, tmp_path, dict(os.environ))
    try:
        once = Retry(NoBackoff(), 0)
        with closing(
            redis.Redis("127.0.0.1", port, username="admin", password=ADMIN, retry=once)
        ) as us:

            def answers() -> bool:
                child.check()
                with contextlib.suppress(redis.ConnectionError):
                    return bool(us.ping())
                return False

            until(answers, f"the server ({child.log})")
            assert us.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        stranger = redis.Redis("127.0.0.1", port, retry=once)
        with closing(stranger), pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        end([child], 5.0)
