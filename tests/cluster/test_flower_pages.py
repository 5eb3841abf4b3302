"""Flower beside a training shows its tasks and workers, in words, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.cluster.processes import words_of

Start = Callable[..., Any]
Until = Callable[..., None]

WORKER = f"worker@{socket.gethostname()}"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: A browser's clock for a page whose tables come in by themselves.
PATIENCE_MS = 10_000
ANSWER_S = 30.0

PACED = (
    *("train", "--model=slowmodels:Paced", "--data=synthetic:softmax", "--flower"),
    *("--data-option=examples=400", "--evaluate-every=1000", "--model-option=seconds=0.05"),
)
DOWNPOUR = ("--batch-size=8", "--passes=10", "--n-push=1", "--n-fetch=1", "--unit-steps=5")
SANDBLASTER = ("--algorithm=sandblaster", "--portions=4", "--iterations=40")


@dataclass(frozen=True)
class Watched:
    """A training, and where Flower shows it."""

    training: Any
    address: str

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Status and text of an answer."""
        with closing(HTTPConnection(urlsplit(self.address).netloc, timeout=ANSWER_S)) as server:
            server.request(method, f"/{path}")
            answer = server.getresponse()
            return answer.status, answer.read().decode()

    def get(self, path: str) -> str:
        status, text = self.ask("GET", path)
        assert status == HTTPStatus.OK
        return text

    def rows(self) -> list[dict[str, Any]]:
        """The table of tasks as the page asks for it."""
        asked = {
            "draw": 1,
            "start": 0,
            "length": 100,
            "search[value]": "",
            "order[0][column]": 0,
            "order[0][dir]": "asc",
            "columns[0][data]": "name",
        }
        document = json.loads(self.get(f"tasks/datatable?{urlencode(asked)}"))
        found: list[dict[str, Any]] = document["data"]
        return found

    def shown(self, path: str) -> str:
        """What a browser makes of a page."""
        command = [_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += [f"--virtual-time-budget={PATIENCE_MS}", f"{self.address}/{path}"]
        answer = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True)
        return answer.stdout


def _browser() -> str:
    named = os.environ.get("DISTBELIEF_TEST_BROWSER")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    return found


@pytest.fixture(scope="module", params=[DOWNPOUR, SANDBLASTER], ids=["downpour", "sandblaster"])
def watched(
    request: pytest.FixtureRequest,
    module_command: Start,
    tmp_path_factory: pytest.TempPathFactory,
    until: Until,
) -> Iterator[Watched]:
    """A training in the middle of its work, some of whose tasks are done."""
    folder = tmp_path_factory.mktemp("paced")
    training = module_command(*PACED, *request.param, f"--model-option=folder={folder}")
    training.says("flower: http://127.0.0.1:")
    address = re.search(r"flower: (\S+)", training.err)
    assert address is not None
    page = Watched(training, address[1])
    until(lambda: any(row["state"] == "SUCCESS" for row in page.rows()), "tasks in Flower")
    yield page
    (folder / "go").touch()
    assert training.ends() == 0
    assert training.alive() == []


def test_tasks_are_shown_with_their_run_and_work(watched: Watched) -> None:
    run = watched.training.run
    shown = {
        "distbelief.downpour": rf"{run}, downpour-[01]-\d+, attempt 1",
        "distbelief.evaluation": rf"{run}, [\w-]+, attempt 1",
        "distbelief.sandblaster": rf"{run}, shift \d+",
    }
    rows = watched.rows()
    done = [row for row in rows if row["state"] == "SUCCESS"]
    assert done
    for row in rows:
        assert re.fullmatch(shown[row["name"]], row["args"])
    assert all(row["worker"] == WORKER and row["runtime"] > 0 for row in done)


def test_its_pages_change_nothing(watched: Watched) -> None:
    assert "Shut Down" not in watched.get(f"worker/{WORKER}")
    for path in (f"worker/shutdown/{WORKER}", f"worker/pool/shrink/{WORKER}?n=1"):
        status, _ = watched.ask("POST", f"api/{path}")
        assert status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def test_it_listens_on_this_machine_only(watched: Watched) -> None:
    flower = next(p for p in watched.training.alive() if "--read_only" in words_of(p))
    places = {place.laddr.ip for place in flower.net_connections() if place.status == "LISTEN"}
    assert places == {"127.0.0.1"}


@pytest.mark.parametrize("path", ["tasks", f"worker/{WORKER}"])
def test_a_browser_shows_the_tasks_and_the_worker(watched: Watched, path: str) -> None:
    page = watched.shown(path)
    assert WORKER in page
    assert re.search(r"distbelief\.(downpour|sandblaster|evaluation)", page)
    if path == "tasks":
        assert re.search(rf"{watched.training.run}, [^<]*(attempt 1|shift \d+)", page)
        assert "SUCCESS" in page


def test_an_interrupted_training_leaves_no_flower(command: Start, tmp_path: Path) -> None:
    training = command(*PACED, *DOWNPOUR, f"--model-option=folder={tmp_path}")
    training.says("flower: http://127.0.0.1:")
    training.says("pass ")
    training.process.terminate()
    training.ends()
    assert training.alive() == []
