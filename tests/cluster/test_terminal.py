"""What others wrote commands no terminal: every command, on a pseudo-terminal, hostile names."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.models.files import read_model
from distbelief.coordinator.commands.cli import main

ROOT = Path(__file__).parents[2]

#: A title of the window and a colour that nobody else uses, in C0 and in C1; a turned direction.
EVIL = "\x1b]0;EVIL\x07\x1b[35;7mEVIL\x9b8mEVIL\u202eEVIL\rEVIL"
RAW = re.compile(r"\x1b\]0|\x1b\[35;7m|[\x07\x9b\u202e]|\r(?!\n)EVIL")


#: Commands one after another, in one process that imports what they share once.
ALL = """
import json, sys
from distbelief.__main__ import main
streams = sys.stdout, sys.stderr
for name, words in json.loads(open('calls.json').read()).items():
    sys.stdout, sys.stderr = streams
    print(f"begin {name} of all", flush=True)
    sys.argv[1:] = words
    try:
        main()
    except SystemExit:
        pass
    sys.stdout.flush()
"""


def on_terminal(folder: Path, *words: str, code: int | None = 0) -> str:
    """Run a command on a terminal of its own; returns what arrives there."""
    return shown(folder, ["-m", "distbelief", *words], code)


def shown(folder: Path, words: list[str], code: int | None) -> str:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "400", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, *words]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ) as process:
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 65_536):
                pieces.append(piece)
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    text = b"".join(pieces).decode()
    if code is not None:
        assert process.returncode == code, text
    return text


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on a file whose name, columns and labels are hostile, trained on a terminal."""
    folder = tmp_path_factory.mktemp("terminal")
    data = f"{EVIL}.csv"
    lines = "".join(f"{i},{i % 3},{EVIL}{i % 2}\n" for i in range(60))
    (folder / data).write_text(f'"{EVIL}a",b,target\n'.replace("\r", "") + lines.replace("\r", ""))
    words = ("train", "--data", data, "--model", "softmax", "--passes", "1", "--replicas", "1")
    said = on_terminal(folder, *words, "--servers", "1", "--holdout", "0.4")
    (run,) = (path.name for path in (folder / "runs").iterdir())
    return {"folder": folder, "data": data, "run": run, "said": said}


def calls(house: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Every command, with what is hostile in its arguments, or in what it reads."""
    run, data = house["run"], house["data"]
    model = str(house["folder"] / "runs" / run / "model.safetensors")
    return {
        "data": ("data", data),
        "evaluate": ("evaluate", "--model", model, "--data", data),
        "predict": ("predict", "--model", model, "--data", data),
        "export": ("export", model, "--output", f"{EVIL}.npz"),
        "report": ("report", run, "--output", f"{EVIL}.html"),
        "runs": ("runs",),
        "status": ("status", run),
        "stop": ("stop", EVIL),
        "resume": ("resume", EVIL),
        "doctor": ("doctor", "--data", f"{EVIL}none.csv"),
        "completion": ("completion", EVIL),
        "train": ("train", "--data", f"{EVIL}none.csv"),
        "compare": ("compare", "--data", f"{EVIL}none.csv", "--methods", "numpy"),
        "plan": ("plan", "--data", f"{EVIL}none.csv"),
        "describe": ("describe", model),
    }


def test_all_commands_are_tried(house: dict[str, Any]) -> None:
    assert set(calls(house)) == set(main.list_commands(None))  # type: ignore[arg-type]


def test_a_training_shows_what_would_command_the_terminal(house: dict[str, Any]) -> None:
    assert not RAW.search(house["said"])
    labels = read_model(house["folder"] / "runs" / house["run"] / "model.safetensors").schema.labels
    assert labels == tuple(
        f"{EVIL}{i}".replace("\r", "") for i in (0, 1)
    )  # as they are, where no terminal is


@pytest.fixture(scope="module")
def told(house: dict[str, Any]) -> dict[str, str]:
    """What each command sends to a terminal."""
    folder = house["folder"]
    (folder / "all.py").write_text(ALL)
    (folder / "calls.json").write_text(json.dumps(calls(house)))
    said = shown(folder, ["all.py"], 0)
    parts = re.split(r"begin (\w+) of all\r?\n", said)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("name", main.list_commands(None))  # type: ignore[arg-type]
def test_no_command_sends_anything_to_a_terminal_that_others_wrote(
    told: dict[str, str], name: str
) -> None:
    said = told[name]
    assert not RAW.search(said), repr(said)
    assert "EVIL" in said
    assert r"\x1b]0;EVIL" in said


def test_an_event_and_a_record_command_no_terminal(house: dict[str, Any]) -> None:
    """As a stranger's folder may hold them."""
    folder, evil = house["folder"], house["folder"] / "runs" / "evil"
    shutil.copytree(folder / "runs" / house["run"], evil)
    record = (evil / "run.json").read_text()
    escaped = EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")
    (evil / "run.json").write_text(record.replace('"state": "finished"', f'"state": "{escaped}"'))
    for words in (("status", "evil"), ("runs",)):
        said = on_terminal(folder, *words, code=None)
        assert not RAW.search(said), repr(said)


def test_what_goes_to_a_file_or_a_program_stays_as_it_is(house: dict[str, Any]) -> None:
    words = [sys.executable, "-m", "distbelief", *calls(house)["predict"]]
    found = subprocess.run(words, cwd=house["folder"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert EVIL.replace("\r", "") in found.stdout
    assert r"\x1b" not in found.stdout
