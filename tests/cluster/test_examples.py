"""The examples with a fleet are typed as they are printed: two terminals, and a service."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from psutil import NoSuchProcess, Process, wait_procs

from distbelief import load_model
from distbelief.app.errors import ExitCode, ServerUnreachable
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.runs.messages import Messages
from tests.documents import PAGES, ROOT, blocks

EXAMPLES = ROOT / "docs" / "examples"
FIRST, SECOND, LAST = [
    block.commands for block in blocks(EXAMPLES / "own-fleet.md") if block.commands
]

Until = Callable[..., None]

DEADLINE_S = 300.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, until: Until) -> Iterator[Callable[[str], str]]:
    """Somebody at the second terminal while the first one runs, at ports that are free."""
    folder, ports = tmp_path_factory.mktemp("examples"), {p: str(free_port()) for p in (6379, 6380)}
    for block in (block for page in PAGES for block in blocks(page)):
        if block.file is not None and "/" not in block.file:
            (folder / block.file).write_text(block.text)

    def at(line: str) -> str:
        return re.sub(r"\b(6379|6380)\b", lambda found: ports[int(found[1])], line)

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(map(at, [*FIRST, *LAST]))
    with (
        (folder / "terminal-1.log").open("w") as log,
        subprocess.Popen(
            ["/bin/sh", "-c", script],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        ) as terminal,
        pytest.MonkeyPatch.context() as patch,
    ):
        started: list[Process] = []
        try:
            patch.chdir(folder)
            patch.syspath_prepend(str(folder))
            for line in SECOND:
                if (found := re.fullmatch(r"export (\w+)=(\S+)", line)) is not None:
                    patch.setenv(found[1], at(found[2]))
            until(lambda: answered(os.environ["DISTBELIEF_BROKER"]), f"workers, see {log.name}")
            yield at
            started = Process(terminal.pid).children(recursive=True)
            (worker,) = filter(is_worker, Process(terminal.pid).children())
            worker.send_signal(signal.SIGQUIT)  # as a second Ctrl-C does
            terminal.wait(DEADLINE_S)
            assert wait_procs(started, DEADLINE_S)[1] == []
        finally:
            for each in started or Process(terminal.pid).children(recursive=True):
                with suppress(NoSuchProcess):
                    each.kill()
            terminal.kill()


def is_worker(process: Process) -> bool:
    return any("celery" in word for word in process.cmdline())


def answered(broker: str) -> bool:
    try:
        with closing(Messages(broker)) as messages:
            return bool(messages.queues_served())
    except (ServerUnreachable, OSError):
        return False


def test_two_terminals_do_what_the_page_says(here: Callable[[str], str]) -> None:
    said = ""
    for line in (each for each in SECOND if not each.startswith("export")):
        program, words = shlex.split(line)[:3], shlex.split(line)[3:]
        assert program == ["python", "-m", "coordinator"]
        answer = CliRunner().invoke(main, words, catch_exceptions=False)
        assert answer.exit_code == ExitCode.OK, answer.output
        said += answer.output
    assert "finished: all passes done" in said
    assert "run first: finished" in said


def test_a_service_answers_what_the_model_would(here: Callable[[str], str]) -> None:
    testing = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed")
    client = testing.TestClient(runpy.run_path("service.py")["app"])
    model = load_model("runs/first/model.safetensors")
    for pixels in np.random.default_rng(0).random((3, 64)):
        answer: dict[str, Any] = client.post(
            "/runs/first/predict", json={"pixels": pixels.tolist()}
        ).json()
        chances = model.predict_proba(pixels[None])[0]
        assert answer["class"] == chances.argmax()
        assert answer["probability"] == pytest.approx(chances.max(), rel=1e-5)
    assert client.post("/runs/none/predict", json={"pixels": []}).status_code == 404
    assert client.post("/runs/first/predict", json={"pixels": [0.5]}).status_code == 422
