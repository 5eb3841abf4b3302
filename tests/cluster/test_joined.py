"""A team's own Celery application trains, with its settings as they are."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster import teams

START_S = 120.0

#: The program of the team, which orders something before and after it trains.
PROGRAM = """
import json
import shop, distbelief
assert shop.order.delay(7).get(timeout=30) == {7}
before = shop.settings.delay().get(timeout=30)
said = []
result = distbelief.train(celery=shop.app, model="softmax", passes=3, replicas=1, say=said.append)
batch = distbelief.train(
    celery=shop.app, model="softmax", algorithm="sandblaster", iterations=2, portions=8
)
after = shop.settings.delay().get(timeout=30)
assert before == after and shop.unchanged, (before, after)
assert "numpy" in __import__("sys").modules
print(json.dumps([result.details[0], result.reason, batch.reason]))
"""

PLAIN = """
import os
from celery import Celery
from distbelief.celery import join

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
OPTIONS
join(app, queue=QUEUE)
"""

TRAIN = ("-m", "distbelief", "train", "--celery-app", "shop", "--model", "softmax")


def written(folder: Path, text: str) -> Path:
    (folder / "shop.py").write_text(text)
    return folder


def broker_of(cluster: LocalCluster) -> str:
    """As Celery wants it."""
    return cluster.endpoints.broker.replace("unix://", "redis+socket://")


def trained(folder: Path, environment: dict[str, str] | object, *words: str) -> None:
    """Train on the command line with both algorithms; each number of updates is exact."""
    said = teams.run(folder, environment, *TRAIN, "--passes", "2", "--json", *words)  # type: ignore[arg-type]
    outcome = json.loads(said)
    assert outcome["reason"] == "passes", outcome


def test_with_its_own_prefix_routes_acks_limits_and_serializer(
    bare: LocalCluster, tmp_path: Path
) -> None:
    folder = written(tmp_path, teams.SHOP)
    variables = {"SHOP_BROKER": broker_of(bare)}
    with teams.worker(folder, "shop", "celery,training", **variables) as environment:
        details, reason, batch = json.loads(teams.run(folder, environment, "-c", PROGRAM))
    planned, applied = details.rpartition("applied: ")[2].split(" on each of ")
    assert f"{planned} planned" in applied  # late acks and redelivery have added nothing
    assert reason == "all passes done"
    assert batch


def test_messages_may_go_through_files_and_the_ledger_through_a_redis(
    bare: LocalCluster, tmp_path: Path
) -> None:
    """A broker that nobody can look into, and that is no server at all; its own queue."""
    queue = tmp_path / "queue"
    queue.mkdir()
    options = f"""app.conf.broker_transport_options = {{
        "data_folder_in": "{queue}", "data_folder_out": "{queue}", "polling_interval": 0.05}}"""
    text = PLAIN.replace("OPTIONS", options).replace("QUEUE", "None")
    variables = {"SHOP_BROKER": "filesystem://", "DISTBELIEF_CONTROL": bare.endpoints.broker}
    folder = written(tmp_path, text)
    with teams.worker(folder, "shop", "celery", **variables) as environment:
        trained(folder, environment)


@pytest.fixture
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A RabbitMQ of our own: its URL."""
    program = teams.rabbitmq()
    if program is None:
        pytest.skip("there is no rabbitmq-server here")
    folder = tmp_path_factory.mktemp("rabbit")
    folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"distbelief{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(port + 1 if port < 65_535 else port - 1),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": str(folder / "rabbit.log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
    }
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [program], env=variables, stdout=out, stderr=out, cwd=folder, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"rabbitmq-server does not start: {(folder / 'out').read_text()}")
                time.sleep(0.1)
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10.0)


def test_rabbitmq_carries_the_messages_of_a_team(
    rabbit: str, bare: LocalCluster, tmp_path: Path
) -> None:
    text = PLAIN.replace("OPTIONS", "app.conf.worker_prefetch_multiplier = 4")
    folder = written(tmp_path, text.replace("QUEUE", "'training'"))
    variables = {"SHOP_BROKER": rabbit, "DISTBELIEF_CONTROL": bare.endpoints.broker}
    with teams.worker(folder, "shop", "celery,training", **variables) as environment:
        trained(folder, environment)


DJANGO = """
import os
from celery import Celery
from distbelief.celery import join

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
join(app, queue=None)
"""


def test_a_django_project_trains(bare: LocalCluster, tmp_path: Path) -> None:
    pytest.importorskip("django", reason="there is no Django here")
    command = [sys.executable, "-m", "django", "startproject", "proj", str(tmp_path)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, check=True, cwd=tmp_path, env=variables)
    (tmp_path / "proj" / "celery.py").write_text(DJANGO)
    (tmp_path / "proj" / "__init__.py").write_text("from .celery import app as celery_app\n")
    with (tmp_path / "proj" / "settings.py").open("a") as settings:
        settings.write(f"CELERY_BROKER_URL = {broker_of(bare)!r}\n")
    words = ["proj" if word == "shop" else word for word in TRAIN]
    with teams.worker(tmp_path, "proj", "celery") as environment:
        teams.run(tmp_path, environment, *words, "--passes", "1")


def test_a_package_called_app_is_not_ours(bare: LocalCluster, tmp_path: Path) -> None:
    """As in the documentation of FastAPI, which the web process of it does not need to train."""
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    text = PLAIN.replace("OPTIONS", "").replace("QUEUE", "'training'")
    (package / "worker.py").write_text(text)
    (package / "main.py").write_text(
        "import sys\nfrom app.worker import app as celery_app\n"
        "print('numpy' in sys.modules, [name for name in celery_app.tasks if 'dist' in name])\n"
    )
    words = ["app.worker:app" if word == "shop" else word for word in TRAIN]
    variables = {"SHOP_BROKER": broker_of(bare)}
    with teams.worker(tmp_path, "app.worker", "training", **variables) as environment:
        said = teams.run(tmp_path, environment, "-c", "import app.main")
        assert said.startswith("False ['distbelief.")
        teams.run(tmp_path, environment, *words, "--passes", "1")
