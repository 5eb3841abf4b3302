"""docs/join.md by itself: its project, program and commands as printed; then all the others."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster import teams
from tests.documents import ROOT, blocks, mentioned

PAGE = ROOT / "docs" / "join.md"
PRINTED_BROKER = "redis://localhost:6379/0"

#: Types commands in one process; each has to end well.
TYPED = """
import json, sys
from distbelief.coordinator.commands.cli import main

def typed(*words):
    sys.argv[0] = "distbelief"
    try:
        main(list(words))
    except SystemExit as end:
        assert not end.code, (words, end.code)

for words in json.loads(sys.argv[1]):
    typed(*words)
"""

#: A run that a program names and is told to stop in its middle, twice; a command ends it.
HALTED = """
from distbelief import train
from shop.celery import app

words = dict(celery=app, model="softmax", passes=8, unit_steps=5, folder="runs")
for _ in range(2):  # begun, and gone on with
    units = []
    note = lambda event: units.append(1) if event.kind == "unit" else None
    halted = train(run="halted", on_event=note, should_stop=lambda: len(units) > 3, **words)
    assert halted.checkpoint is not None, halted.reason
"""


@contextmanager
def project(folder: Path, cluster: LocalCluster) -> Iterator[Mapping[str, str]]:
    """The page's project and its worker, with data; only the broker's address is another one."""
    made, _ = (block.text for block in blocks(PAGE) if block.language == "python")
    assert made.count(PRINTED_BROKER) == 1
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").write_text("")
    broker = cluster.endpoints.broker.replace("unix://", "redis+socket://")
    (folder / "shop" / "celery.py").write_text(made.replace(PRINTED_BROKER, broker))
    rows = "\n".join(f"{i % 7},{i % 3},{'ab'[i % 7 > 3]}" for i in range(300))
    (folder / "mine.csv").write_text(f"size,colour,label\n{rows}\n")
    (command,) = (each for each in mentioned(PAGE) if each.startswith("celery -A shop worker"))
    _, _, app, _, *words = shlex.split(command)
    with teams.worker(folder, app, words[words.index("-Q") + 1]) as environment:
        yield environment


def typed(folder: Path, environment: Mapping[str, str], *commands: str) -> str:
    """Type commands that begin with ``distbelief``, one after another."""
    words = [shlex.split(command)[1:] for command in commands]
    program = ("-c", TYPED, json.dumps(words))
    return teams.run(folder, environment, *program, timeout_s=LONGEST_S)


#: All commands of the page, and what measures, on a busy machine.
LONGEST_S = 400.0

JOINED = "--celery-app shop.celery:app"
SMALL = "--model softmax --methods one-replica --replicas 1 --seeds 1 --rates 0.1 --budget 1"
MEASURING = [
    f"distbelief plan {JOINED} --model softmax --seconds 4 --most-replicas 4",
    f"distbelief compare {JOINED} {SMALL}",
]


@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize("rest", [[], pytest.param(MEASURING, marks=pytest.mark.slow)])
def test_the_page_leads_to_a_model_and_every_command_takes_the_application(
    rest: list[str], bare: LocalCluster, tmp_path: Path
) -> None:
    with project(tmp_path, bare) as environment:
        _, program = (block.text for block in blocks(PAGE) if block.language == "python")
        said = teams.run(tmp_path, environment, "-c", program)
        assert re.match(r"all passes done .*model\.safetensors$", said.strip()), said
        printed = [each for each in mentioned(PAGE) if each.startswith("distbelief ")]
        assert {shlex.split(each)[1] for each in printed} == {"doctor", "train"}
        typed(tmp_path, environment, *printed)
        nightly = f"distbelief train {JOINED} --run nightly --data mine.csv --passes 1"
        model = "--model runs/nightly/model.safetensors --data mine.csv"
        teams.run(tmp_path, environment, "-c", HALTED)
        said = typed(
            tmp_path,
            environment,
            nightly,
            nightly,  # a second time it has nothing to do
            f"distbelief evaluate {model}",
            f"distbelief predict {model} --output predicted.csv",
            "distbelief resume halted",
            f"distbelief status halted --control {bare.endpoints.broker}",
            *rest,
        )
        assert "run nightly has finished: there is nothing left to do" in said
        assert len((tmp_path / "predicted.csv").read_text().splitlines()) == 301


def test_a_fastapi_project_with_a_package_called_app_trains(
    bare: LocalCluster, tmp_path: Path
) -> None:
    for needed in ("fastapi", "httpx"):
        pytest.importorskip(needed, reason=f"there is no {needed} here")
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "worker.py").write_text(WORKER)
    (package / "main.py").write_text(MAIN)
    broker = bare.endpoints.broker.replace("unix://", "redis+socket://")
    with teams.worker(tmp_path, "app.worker", "celery,training", SHOP_BROKER=broker) as environment:
        assert teams.run(tmp_path, environment, "-c", REQUESTS) == "all passes done\n"


WORKER = """
import os
from celery import Celery
from distbelief.celery import join

app = Celery("worker", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
join(app, queue="training")

@app.task
def send_notification(email):
    return f"to {email}"
"""

#: As FastAPI's documentation begins it.
MAIN = """
from fastapi import FastAPI
from app.worker import app as celery_app, send_notification

app = FastAPI()

@app.post("/send-notification/{email}")
def notify(email: str):
    return {"message": send_notification.delay(email).get(timeout=30)}

@app.post("/trainings")
def begin_training():
    from distbelief import train
    result = train(celery=celery_app, model="softmax", passes=1, replicas=1)
    return {"reason": result.reason}
"""

REQUESTS = """
import sys
from fastapi.testclient import TestClient
from app.main import app

assert not {"numpy", "distbelief.app.models.model"} & {*sys.modules}  # web processes stay small
client = TestClient(app)
assert client.post("/send-notification/me").json() == {"message": "to me"}
print(client.post("/trainings").json()["reason"])
assert client.post("/send-notification/me").json() == {"message": "to me"}
"""
