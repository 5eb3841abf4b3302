"""Every command line in the documents is typed here, on small data and private servers."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import redis
import safetensors.numpy
from click.testing import CliRunner

from distbelief.app.client.addresses import ServerAddress
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE
from distbelief.app.settings.environment import BROKER, PARAMETER_SERVERS, split_urls
from distbelief.app.store import native
from distbelief.app.store.engines import choose_engines
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.doctor.preflight import check_servers
from distbelief.coordinator.runs import journal
from distbelief.coordinator.runs.messages import Messages
from tests.documents import PAGES, ROOT, blocks

Until = Callable[..., None]

DEADLINE_S = 300.0
BLOCKS = [block for page in PAGES for block in blocks(page)]
TYPED = list(dict.fromkeys(command for block in BLOCKS for command in block.commands))

#: Not typed, and why. What they run exists: tests/unit/test_documents.py.
NOT_TYPED = {
    "make test": "these tests are what it runs",
    "make lint": "CI runs it before these tests",
    "pip install .": "tests/cluster/test_installed.py installs the wheel",
    "pip install -r deploy/worker-requirements.txt": "tests/cluster/test_small_installation.py "
    "has a worker with nothing else",
    "pip install --no-deps .": "likewise",
    "python -m coordinator train --data mine.csv --stage-data": "tests/cluster/test_hosts.py does",
    "python -m coordinator train --data mine.csv --stage-data=s3://bucket/staged": "no bucket is "
    "there; tests/unit/app/datasets/staging/test_staging.py has another address",
    # tests/cluster/test_deployment.py runs what is behind these.
    "sh deploy/make-secrets": "it writes beside itself; tried with another folder",
    "docker compose -f deploy/compose.yaml up -d --build --scale worker=2": "no container engine",
    "docker compose -f deploy/compose.yaml run --rm coordinator train --replicas 4": "likewise",
    "docker compose -f deploy/compose.yaml run --rm coordinator runs": "likewise",
    "sh deploy/make-secrets deploy/kubernetes/base/secrets control parameters-0.parameters "
    "parameters-1.parameters": "tests/unit/test_manifests.py does, in another folder",
    "kubectl apply -k deploy/kubernetes/base": "no cluster; that test renders it",
    "kubectl apply -k deploy/kubernetes/keda": "likewise",
    "python -m coordinator train --run nightly --checkpoint-address s3://bucket/runs "
    "--wait-for-workers 600": "tests/cluster/test_named_runs.py does, at an address that is there",
    "python3 -m venv /opt/distbelief && /opt/distbelief/bin/pip install .": "for root, once",
    "useradd --system distbelief": "likewise",
    "install -d /etc/distbelief    # and in it, mode 0600: broker, parameter_servers (one line "
    "each)": "likewise",
    "cp deploy/distbelief-worker.service /etc/systemd/system": "likewise",
    "systemctl enable --now distbelief-worker": "likewise",
}

# tests/cluster/test_examples.py has both terminals, and the service.
NOT_TYPED |= {
    line: "another fleet is there for it"
    for page in ("own-fleet", "service")
    for block in blocks(ROOT / "docs" / "examples" / f"{page}.md")
    for line in block.commands
    if not line.startswith("celery")
}

#: Behind the flags of a training, so that it is a short one.
SHORT = shlex.split("--passes 1 --iterations 2 --evaluate-every 1000 --wait-seconds 60")

#: Of a run that is still there when the next command is typed, and leaves the cores to others.
ENDLESS = shlex.split(
    "--model slowmodels:Sleepy --model-option seconds=0.2 --unit-steps 2 "
    "--passes 100000 --lease-seconds 1 --wait-seconds 60"
)


def parsed(words: list[str]) -> None:
    """Check that a command takes these words."""
    found = main.get_command(click.Context(main), words[0])
    assert found is not None
    with found.make_context(words[0], words[1:]) as context:
        assert context.params


class Desk:
    """Somebody who types, in a folder with the files of the documents.

    ``finished`` are the runs that were trained to their end, oldest first; ``current`` is one
    that has no end, of which ``coordinators`` are the processes, one after another.
    """

    def __init__(self, folder: Path, endpoints: Endpoints, until: Until) -> None:
        self.folder = folder
        self.endpoints = endpoints
        self._until = until
        self.environment = {
            **os.environ,
            BROKER: endpoints.broker,
            PARAMETER_SERVERS: ",".join(endpoints.parameter_servers),
            ALLOWED_IMPORTS_VARIABLE: "mypackage,mynets,poisson,slowmodels",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, folder, Path(__file__).parent))),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.finished: list[str] = []
        self._known: set[str] = set()
        self.current = ""
        self.coordinators: list[Child] = []

    def type(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]  # the desk's own environment has it
        match words:
            case ["export", assignment]:
                name, _, urls = assignment.partition("=")
                assert name in self.environment
                assert all(map(ServerAddress.parse, split_urls(urls)))
            case ["celery", "-A", "app", "worker", *_]:
                assert words == worker_command()
            case ["make", "train"]:
                assert "$(BIN)/python -m coordinator train\n" in (ROOT / "Makefile").read_text()
                self.coordinate(["train"])
            case ["python", "-m", "coordinator", *rest, ">", file]:
                (self.folder / file).write_text(self.invoke(rest))
            case ["python", "-m", "coordinator", *rest]:
                self.coordinate(rest)
            case ["valkey-server" | "redis-server", configuration, *rest]:
                self.serve(ROOT / "deploy" / configuration, rest)
            case _:
                self.start(filled(words, self.trained))

    def coordinate(self, words: list[str]) -> None:
        match words[0]:
            case "train":
                few = ["--data-option", "examples=500"] if "synthetic" in " ".join(words) else []
                self.invoke([*words, *few, *SHORT])
                self.finished.append(self.new_run())
            case "compare" | "plan":  # which other tests run, in small
                parsed(words)
            case "resume":
                self.resume(words)
            case "runs" if "--delete" in words:
                self.remove(words)
            case "runs" | "status" | "stop":
                self.keep_one_running()
                self.invoke(filled(words, self.current))
            case _:
                self.invoke(filled(words, self.trained))

    def invoke(self, words: list[str]) -> str:
        """In this process, which saves the time that importing takes; what it prints."""
        answer = CliRunner().invoke(main, words, catch_exceptions=False)
        assert answer.exit_code == ExitCode.OK, answer.output
        return answer.stdout

    def start(self, words: list[str]) -> None:
        """Another program, to its end."""
        subprocess.run(words, env=self.environment, cwd=self.folder, check=True, timeout=DEADLINE_S)
        self._known |= self.unknown_runs()  # which are the program's

    def keep_one_running(self) -> None:
        if not self.alive:
            self.begin(["train", *ENDLESS], lambda _: any(map(self.trains, self.unknown_runs())))
            self.current = self.new_run()

    def trains(self, run: str) -> bool:
        """Whether a run has begun, with a checkpoint to go on from."""
        events = journal.read(self.folder / "runs" / run / "events.jsonl")
        return any(event.kind == "start" for event in events)

    def resume(self, words: list[str]) -> None:
        self.keep_one_running()
        before = self.coordinators[-1]
        if "--take-over" not in words:
            before.process.send_signal(signal.SIGKILL)
            before.process.wait(DEADLINE_S)
        urls = ",".join(self.endpoints.parameter_servers)
        new = {
            "redis://new:6379/0": self.endpoints.broker,
            "redis://new:6380,redis://new:6381": urls,
        }
        there = [new.get(word, word) for word in filled(words, self.current)]
        self.begin(there, lambda said: "taken up under fence" in said)
        if "--take-over" in words:
            assert before.process.wait(DEADLINE_S) == ExitCode.TAKEN

    def begin(self, words: list[str], far_enough: Callable[[str], bool]) -> None:
        """A coordinator in the background, until what it said, or did, is enough."""
        name = f"coordinator{len(self.coordinators)}"
        command = [sys.executable, "-m", "coordinator", *words]
        started = Child.start(name, command, self.folder, self.environment)
        self.coordinators.append(started)

        def begun() -> bool:
            started.check()
            return far_enough(started.log.read_text())

        self._until(begun, f"{words} in {started.log}")

    def remove(self, words: list[str]) -> None:
        """Remove a finished run from the servers, all of it."""
        while len(self.finished) < 2:  # the first is for those who read
            self.coordinate(["train"])
        run = self.finished[-1]
        said = self.invoke(filled(words, run))
        if "--yes" in words and "RUN" in words:
            assert f"run {run}: removed" in said
            self.finished.pop()
            for url in self.endpoints.parameter_servers:
                server = redis.Redis.from_url(url)
                assert [key for key in server.scan_iter() if run.encode() in key] == []

    def serve(self, configuration: Path, words: list[str]) -> None:
        """A server as it is started by hand, but that it listens on a socket here."""
        module = native.library()
        if "--loadmodule" in words and module is None:
            pytest.skip("there was no C compiler to build the native engine with")
        socket = Path(self.endpoints.broker.removeprefix("unix://")).with_name("by-hand.sock")
        given = [str(module) if word == "/path/to/engine.so" else word for word in words]
        here = ["--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder)]
        command = [binaries.find().path, str(configuration), *given, *here]
        server = Child.start("by-hand", command, self.folder, self.environment)
        try:
            with closing(Servers([f"unix://{socket}"], deadline_s=DEADLINE_S)) as client:
                choose_engines(client, "native" if "--loadmodule" in words else "lua", DEADLINE_S)
                check_servers(client, DEADLINE_S, pytest.fail, parameters=True)
        finally:
            end([server], 5.0)

    @property
    def trained(self) -> str:
        """A run on the digits that has finished."""
        if not self.finished:
            self.coordinate(["train"])
        return self.finished[0]

    @property
    def alive(self) -> bool:
        return bool(self.coordinators) and self.coordinators[-1].process.poll() is None

    def unknown_runs(self) -> set[str]:
        return {path.parent.name for path in self.folder.glob("runs/*/run.json")} - self._known

    def new_run(self) -> str:
        (run,) = self.unknown_runs()
        self._known.add(run)
        return run


def filled(words: list[str], run: str) -> list[str]:
    return [re.sub(r"\bRUN\b", run, word) for word in words]


def worker_command() -> list[str]:
    """The documents start workers in one way only."""
    lines = {tuple(shlex.split(line, comments=True)) for line in TYPED if "app worker" in line}
    (words,) = lines
    return list(words)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, until: Until) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    for block in BLOCKS:
        if block.file is not None:
            (folder / block.file).parent.mkdir(exist_ok=True)
            (folder / block.file).write_text(block.text)
    with (
        LocalCluster(servers=2, processes=0, folder=folder, wait_s=DEADLINE_S) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        made = Desk(folder, cluster.endpoints, until)
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for name in (BROKER, PARAMETER_SERVERS, ALLOWED_IMPORTS_VARIABLE):
            patch.setenv(name, made.environment[name])
        worker = Child.start("worker", worker_command(), folder, made.environment)
        try:
            with closing(Messages(made.endpoints.broker)) as messages:
                until(messages.queues_served, "the worker's answer")
            yield made
        finally:
            end([*made.coordinators, worker], 5.0)


def needs_torch(command: str) -> bool:
    return "torch" in command or "net.safetensors" in command


@pytest.mark.parametrize("command", [each for each in TYPED if each not in NOT_TYPED])
def test_a_command_line_of_the_documents_does_what_it_should(command: str, desk: Desk) -> None:
    if needs_torch(command) and importlib.util.find_spec("torch") is None:
        pytest.skip("there is no torch here")
    desk.type(command)


def test_nothing_is_left_out_that_is_not_in_the_documents() -> None:
    assert set(NOT_TYPED) <= set(TYPED)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_a_service_reads_the_parameters_that_the_model_file_has(algorithm: str, desk: Desk) -> None:
    desk.coordinate(["train", "--algorithm", algorithm, "--hidden", "70"])
    run = desk.finished[-1]
    control = redis.Redis.from_url(desk.endpoints.broker)
    servers = [redis.Redis.from_url(url) for url in desk.endpoints.parameter_servers]
    read: dict[str, Any] = runpy.run_path(str(desk.folder / "read_model.py"))
    found = read["read"](run, control, servers)
    saved = safetensors.numpy.load_file(desk.folder / "runs" / run / "model.safetensors")
    assert len(found) == 4
    for name, tensor in found.items():
        assert np.array_equal(tensor, saved[name].astype(tensor.dtype)), name
