"""The command line is quick and quiet, and has words for everything that goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ExitCode
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.settings.config import configure
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.commands.cli import NO_READER, main
from distbelief.coordinator.commands.effective import toml_of
from distbelief.coordinator.problem import problem as problems
from tests.unit.coordinator.commands.test_settings import OTHER, TOGETHER
from tests.unit.coordinator.report.journals import folder_of

Run = Callable[..., Any]

ROOT = Path(__file__).parents[4]
COMMANDS = main.list_commands(click.Context(main))
#: Packages that take long to import, and that help does not need.
HEAVY = {"numpy", "redis", "celery", "pydantic", "rich", "scipy"}


def start(*words: str, **how: Any) -> subprocess.Popen[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "coordinator", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    buffered = {name: each for name, each in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, cwd=ROOT, env=buffered, text=True, **pipes)


def imports_none(among: set[str], *words: str) -> None:
    """Fail if a command imports any ``among`` those packages."""
    code = (
        "import sys; from distbelief.coordinator.commands.cli import main; "
        f"main.main({words!r}, standalone_mode=False); "
        f"sys.exit(' '.join({among!r} & sys.modules.keys()) or 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr


def test_help_imports_nothing_that_takes_long() -> None:
    imports_none(HEAVY, "--help")


def test_runs_that_ended_are_looked_at_without_what_trains_or_asks(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "20261122-180858-050a", outcome={"state": "finished"}).name
    imports_none(HEAVY - {"rich"}, "runs", "--folder", str(tmp_path))
    imports_none(HEAVY - {"rich", "pydantic"}, "status", run, "--folder", str(tmp_path))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    assert main.summary(name) == found.get_short_help_str(limit=200)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_names_its_exit_codes(name: str, run: Run) -> None:
    answer = run(name, "--help")
    assert "Exit codes: 0 ok, 1 internal, 2 usage" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 95  # long examples are not broken


def test_a_misspelt_command_names_the_nearest(run: Run) -> None:
    answer = run("trian")
    assert answer.code == ExitCode.USAGE
    assert "there is no command 'trian': did you mean 'train'?" in answer.err


@pytest.mark.parametrize("words", [("--debug", "runs"), ("runs", "--debug")])
def test_debug_shows_a_traceback_wherever_it_stands(
    words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("distbelief.coordinator.views.looking.look_at_runs", broken)
    told = run(*words)
    assert told.code == ExitCode.INTERNAL
    assert told.err.startswith("Traceback")
    assert told.err.endswith("\ninternal error: RuntimeError: no such luck\n")
    answer = run("runs")
    assert answer.code == ExitCode.INTERNAL
    assert answer.err == (
        "internal error: RuntimeError: no such luck; --debug shows where it comes from\n"
    )


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    features = np.zeros((200_000, 3), np.float32)
    np.save(tmp_path / "many.npy", features)
    model = SavedModel(ModelSettings(model="linear"), Schema(3), np.zeros(4, np.float32))
    model.save(tmp_path / "model")
    words = ("--model", str(tmp_path / "model"), "--data", str(tmp_path / "many.npy"))
    with start("predict", *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "value\n"
        process.stdout.close()
        assert process.wait(60) == NO_READER
        assert process.stderr.read() == ""


@pytest.mark.parametrize("command", ["predict", "doctor", "completion"])
def test_a_reader_that_never_was_is_noticed(command: str, model: Path) -> None:
    np.save(model.with_name("new.npy"), np.ones((2, 3), np.float32))
    new = ("--model", str(model), "--data", str(model.with_name("new.npy")))
    words = {"predict": new, "doctor": (), "completion": ("bash",)}[command]
    reader, writer = os.pipe()
    os.close(reader)
    with start(command, *words, stdout=writer) as process:
        os.close(writer)
        assert process.wait(60) == NO_READER
        assert process.stderr is not None
        assert process.stderr.read() == ""


def settings_but(*names: str) -> dict[str, Any]:
    return {name: value for name, value in OTHER.items() if name not in names}


def test_the_file_of_a_dry_run_gives_the_same_configuration() -> None:
    config, cluster = configure(settings_but())
    text = toml_of(config, cluster)
    assert configure(tomllib.loads(text)) == (config, cluster)
    assert all(f"\n{name} = " in f"\n{text}" for name in OTHER)
    assert TOGETHER  # what may stand only together is in there, too


@pytest.mark.parametrize("text", ['"', "\\", "\x7f", "\n", "ü", "😀", "# x", "a = b"])
def test_any_text_comes_back_from_the_file_of_a_dry_run(text: str) -> None:
    given = configure({"data": f"x{text}.csv", "data_options": {text: text}})
    assert configure(tomllib.loads(toml_of(*given))) == given


def test_a_dry_run_keeps_passwords_to_itself(run: Run) -> None:
    words = ("--broker", "redis://:sesame@h", "--parameter-servers", "redis://a,redis://b?db=1")
    answer = run("train", "--dry-run", *words)
    assert answer.code == 0, answer.err
    assert "sesame" not in answer.out
    assert "# broker may hold a password: give it as DISTBELIEF_BROKER" in answer.out
    assert tomllib.loads(answer.out)["parameter_servers"] == ["redis://a", "redis://b?db=1"]


def test_a_dry_run_says_what_will_be_done(run: Run, tmp_path: Path) -> None:
    words = ("--folder", str(tmp_path / "runs"), "--n-push", "4", "--passes", "2")
    answer = run("train", "--dry-run", *words)
    plan = [line for line in answer.out.splitlines() if line.startswith("# plan: ")]
    # Two subsets of 719 examples: 23 minibatches a pass, 46 steps each, in pushes of 4.
    assert "# plan: 92 steps in 2 units, 24 pushes on each shard" in plan
    assert "# plan: 4,810 parameters in 2 shards on 2 servers, in blocks of 602 numbers" in plan
    assert not (tmp_path / "runs").exists()
    file = tmp_path / "run.toml"
    file.write_text(answer.out)
    again = run("train", "--config", file, "--dry-run", "--json")
    document = json.loads(again.out)
    assert document["configuration"]["n_push"] == 4
    assert document["plan"]["steps"] == 92
    assert document["plan"]["pushes"] == [24, 24]


@pytest.mark.parametrize(
    ("words", "rate", "l2"),
    [
        ((), 0.05, 0.0),
        (("--optimizer", "adam"), 0.001, 0.0),
        (("--algorithm", "sandblaster"), None, 1 / (4 * 1438)),  # it has no rate
        (("--algorithm", "hybrid"), 0.05, 1 / (4 * 1438)),
        (("--learning-rate", "0.5", "--l2", "2"), 0.5, 2.0),
    ],
)
def test_a_dry_run_says_what_a_default_that_depends_on_others_is(
    run: Run, words: tuple[str, ...], rate: float | None, l2: float
) -> None:
    answer = run("train", "--dry-run", "--json", *words)
    configuration = json.loads(answer.out)["configuration"]
    assert (configuration["learning_rate"], configuration["l2"]) == (rate, l2)


def test_a_setting_without_an_effect_is_told_wherever_it_comes_from(
    run: Run, tmp_path: Path
) -> None:
    words = ("train", "--dry-run", "--algorithm", "sandblaster")
    plain = run(*words)
    assert plain.err == ""
    file = tmp_path / "run.toml"
    file.write_text(plain.out)
    assert run("train", "--dry-run", "--config", str(file)).err == ""
    told = "warning: learning_rate = 0.1 has no effect with algorithm = sandblaster: leave it out"
    assert run(*words, "--learning-rate", "0.1").err.startswith(told)
    file.write_text("learning_rate = 0.1\n")
    assert run(*words, "--config", str(file)).err.startswith(told)


def test_a_dry_run_of_sandblaster_counts_portions(run: Run) -> None:
    answer = run("train", "--dry-run", "--algorithm", "sandblaster", "--json")
    plan = json.loads(answer.out)["plan"]
    assert (plan["portions"], plan["iterations"], plan["steps"]) == (8, 100, None)
    # 2 * 10 vectors of history and some more, of 4,810 float64 numbers.
    assert plan["demand"]["servers"] > 20 * 4810 * 8


def test_a_dry_run_of_a_hybrid_counts_steps_at_most_and_portions(run: Run) -> None:
    answer = run("train", "--dry-run", "--algorithm", "hybrid")
    assert "# plan: at most 1,840 steps in 80 units" in answer.out
    assert "# plan: 100 iterations at most, 8 portions each" in answer.out


def test_a_dry_run_does_not_choose_what_a_run_measures() -> None:
    config, cluster = configure({})
    from distbelief.coordinator.training.plan import Plan

    plan = Plan.of(problems.prepare(config, 2), cluster)
    assert plan.pushes == (460, 1840)
    assert "(n_push is auto)" in "\n".join(plan.lines())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    numbers = np.arange(8, dtype=np.float32)
    schema = Schema(3, 2, labels=("no", "yes"))
    SavedModel(ModelSettings(model="softmax"), schema, numbers).save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_a_model_is_exported_to_arrays_with_names(run: Run, model: Path) -> None:
    answer = run("export", model, "--output", model.with_suffix(".npz"))
    assert answer.code == 0, answer.err
    with np.load(model.with_suffix(".npz"), allow_pickle=False) as found:
        assert found["weights"].shape == (3, 2)
        assert np.array_equal(np.concatenate([found["weights"].ravel(), found["bias"]]), range(8))
        assert list(found["labels"]) == ["no", "yes"]


def test_a_model_is_exported_to_a_vector_and_to_lines(run: Run, model: Path) -> None:
    for ending in (".npy", ".csv"):
        assert run("export", model, "--output", model.with_suffix(ending)).code == 0
    assert np.array_equal(np.load(model.with_suffix(".npy")), range(8))
    lines = model.with_suffix(".csv").read_text().splitlines()
    assert lines[:3] == ["tensor,index,value", "weights,0 0,0", "weights,0 1,1"]
    assert lines[-1] == "bias,1,7"


def test_a_pipe_is_not_exported_over(run: Run, model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    answer = run("export", model, "--output", tmp_path / "pipe.npz")
    assert (answer.code, (tmp_path / "pipe.npz").is_fifo()) == (ExitCode.USAGE, True)
    assert "pipe.npz is a pipe: name a file" in answer.err


def test_an_export_goes_through_a_link(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.npz").symlink_to("there.npz")
    run("export", model, "--output", tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert np.load(tmp_path / "there.npz")["weights"].shape == (3, 2)


def test_an_exported_model_is_a_model(run: Run, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "new" / "copy.safetensors"
    answer = run("export", model, "--output", copy, "--json")
    assert json.loads(answer.out)["tensors"] == {"weights": [3, 2], "bias": [2]}
    assert np.array_equal(read_model(copy).parameters, range(8))


@pytest.mark.parametrize(
    ("source", "output", "code", "word"),
    [
        ("m.safetensors", "x.txt", ExitCode.USAGE, ".npz"),
        ("m.safetensors", "folder.npz", ExitCode.USAGE, "is a folder"),
        ("no.safetensors", "x.npz", ExitCode.MODEL, "no model file no.safetensors"),
        ("folder.npz/no", "x.npz", ExitCode.MODEL, "folder.npz/no"),
        ("20260101-000000-abcd", "x.npz", ExitCode.USAGE, "there is no run"),
        ("m.safetensors", "m.safetensors/x.npz", ExitCode.MODEL, "cannot write"),
    ],
)
def test_what_cannot_be_exported_is_named(
    run: Run,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    code: ExitCode,
    word: str,
) -> None:
    monkeypatch.chdir(model.parent)
    (model.parent / "folder.npz").mkdir()
    answer = run("export", source, "--output", output)
    assert answer.code == code
    assert word in answer.err
    assert sorted(path.name for path in model.parent.iterdir()) == ["folder.npz", model.name]


def test_predictions_go_to_an_address_whole(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="there is no fsspec here")
    np.save(tmp_path / "new.npy", np.zeros((4, 3), np.float32))
    words = ("predict", "--model", model, "--data", tmp_path / "new.npy", "--output")
    assert run(*words, "memory://bucket/out.csv").code == ExitCode.DATA  # nobody has allowed that
    monkeypatch.setenv("DISTBELIEF_DATA_PROTOCOLS", "memory")
    assert run(*words, "memory://bucket/out.csv").code == 0
    written = fsspec.filesystem("memory").cat_file("/bucket/out.csv").decode()
    assert written.splitlines()[0] == "class,probability"
    assert len(written.splitlines()) == 5


def test_predictions_are_lines_of_json(run: Run, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "new.npy", np.ones((2, 3), np.float32))
    answer = run("predict", "--model", model, "--data", tmp_path / "new.npy", "--json")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    # Log-odds of the second class: the weights' column sums 9 - 6, the biases 7 - 6.
    assert lines == 2 * [{"class": "yes", "probability": pytest.approx(1 / (1 + np.exp(-4)), 1e-4)}]


BASH = """
cd {folder}
source <({python} -m coordinator completion bash)
ask() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _distbelief_python "$1"
    echo "${{COMPREPLY[*]}}"
}}
ask {python} -m coordinator ex
ask {python} -m distbelief ex
ask {python} -m coordinator train --optim
ask {python} -m coordinator train --optimizer a
ask {python} -m coordinator status ""
ask {python} script.py ""
"""


def test_bash_completes_commands_flags_choices_and_runs(tmp_path: Path) -> None:
    (tmp_path / "runs" / "20260101-000000-abcd").mkdir(parents=True)
    (tmp_path / "runs" / "20260101-000000-abcd" / "run.json").write_text("{}")
    script = BASH.format(folder=tmp_path, python=sys.executable)
    answer = subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stdout.splitlines() == [
        "export",
        "export",
        "--optimizer",
        "adagrad adam",
        "20260101-000000-abcd",
        "",
    ], answer.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_for_all_spellings(shell: str, run: Run) -> None:
    answer = run("completion", shell)
    assert answer.code == 0
    assert {"distbelief", "python", "coordinator"} <= set(re.findall(r"\w+", answer.out))
    assert f"_DISTBELIEF_COMPLETE={shell}_complete" in answer.out


@pytest.mark.parametrize(("words", "page"), [(["--page"], 0), (["--page", "8080"], 8080)])
def test_the_page_of_a_training_needs_no_port(run: Run, words: list[str], page: int) -> None:
    answer = run("train", *words, "--passes", "3", "--dry-run", "--json")
    configuration = json.loads(answer.out)["configuration"]
    assert (configuration["page"], configuration["passes"]) == (page, 3)
