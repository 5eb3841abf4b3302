"""Wrong input ends with one sentence that names the thing, and an exit code of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DistBeliefError, ExitCode
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.sections import ModelSettings

Run = Callable[..., Any]

FEATURES = np.arange(40, dtype=np.float32).reshape(20, 2)
LABELS = np.arange(20) % 2
WITH_NAN = FEATURES.copy()
WITH_NAN[3, 1] = np.nan

#: Data files by name, and what is in them.
FILES: dict[str, dict[str, Any]] = {
    "good.npz": {"x": FEATURES, "y": LABELS},
    "nan.npz": {"x": WITH_NAN, "y": LABELS},
    "labels.npz": {"x": FEATURES, "y": np.arange(20) % 7},
    "negative.npz": {"x": FEATURES, "y": LABELS - 1},
    "empty.npz": {"x": FEATURES[:0], "y": LABELS[:0]},
    "uneven.npz": {"x": FEATURES, "y": LABELS[:-1]},
    "nameless.npz": {"a": FEATURES, "b": LABELS},
    "one.npz": {"x": FEATURES[:1], "y": LABELS[:1]},
    "real.npz": {"x": FEATURES, "y": LABELS + 0.5},
}

CONFIGURATIONS = {
    "unknown.toml": "learningrate = 0.1",
    "strange.toml": "zzz = 'red'",
    "broken.toml": "learning_rate = ",
    "wrong.toml": "replicas = 0",
    "type.toml": "passes = 'many'",
}

MODEL = """
def Broken(n_features, n_classes):
    raise ValueError("no such width")

class Half:
    task = "guess"
    def __init__(self, n_features, n_classes): ...
"""


@dataclass(frozen=True)
class Wrong:
    """Arguments, the exit code they give, and the words that the message must have."""

    arguments: str
    code: ExitCode
    words: tuple[str, ...]


WRONG = {
    "unknown flag": Wrong(
        "train --learningrate 1", ExitCode.USAGE, ("--learningrate", "--learning-rate")
    ),
    "unknown command": Wrong("trian", ExitCode.USAGE, ("trian",)),
    "unknown key": Wrong(
        "train --config unknown.toml", ExitCode.USAGE, ("'learningrate'", "'learning_rate'")
    ),
    "unknown key like no other": Wrong(
        "train --config strange.toml", ExitCode.USAGE, ("'zzz'", "known are", "batch_size")
    ),
    "not TOML": Wrong("train --config broken.toml", ExitCode.USAGE, ("broken.toml", "TOML")),
    "missing configuration": Wrong(
        "train --config no.toml", ExitCode.USAGE, ("no.toml", "No such file")
    ),
    "negative rate": Wrong(
        "train --learning-rate -0.1", ExitCode.USAGE, ("learning_rate", "-0.1", "greater than 0")
    ),
    "infinite rate": Wrong(
        "train --learning-rate inf", ExitCode.USAGE, ("learning_rate", "inf", "finite")
    ),
    "no number": Wrong("train --seed seven", ExitCode.USAGE, ("seed", "seven", "whole number")),
    "no replicas": Wrong(
        "train --config wrong.toml", ExitCode.USAGE, ("replicas", "0", "greater than or equal to 1")
    ),
    "wrong type": Wrong(
        "train --config type.toml", ExitCode.USAGE, ("passes", "many", "type.toml")
    ),
    "unknown choice": Wrong(
        "train --optimizer newton", ExitCode.USAGE, ("optimizer", "newton", "adagrad", "sgd")
    ),
    "holdout of everything": Wrong(
        "train --holdout 1", ExitCode.USAGE, ("holdout", "1", "below 1, or the name of a column")
    ),
    "target without held-out data": Wrong(
        "train --holdout 0 --target 0.9", ExitCode.USAGE, ("target", "holdout above 0")
    ),
    "broker alone": Wrong(
        "train --broker redis://h", ExitCode.USAGE, ("broker", "parameter_servers", "both")
    ),
    "option that is no pair": Wrong(
        "train --data-option examples", ExitCode.USAGE, ("--data-option", "KEY=VALUE", "examples")
    ),
    "server that is no URL": Wrong(
        "train --broker host --parameter-servers redis://h", ExitCode.USAGE, ("host", "redis://")
    ),
    "server without a port": Wrong(
        "train --broker redis://h:0 --parameter-servers redis://h", ExitCode.USAGE, ("port",)
    ),
    "warm start beyond the training": Wrong(
        "train --data good.npz --warm-start-steps 99999",
        ExitCode.USAGE,
        ("warm_start_steps", "99999", "at most"),
    ),
    "more shards than blocks": Wrong(
        "train --data good.npz --model softmax --shards 9",
        ExitCode.USAGE,
        ("9 shards", "6 blocks", "at most 6"),
    ),
    "unknown data": Wrong("train --data digts", ExitCode.DATA, ("digts", "did you mean 'digits'")),
    "missing data file": Wrong("train --data no.npz", ExitCode.DATA, ("no.npz", "no such file")),
    "data that are no archive": Wrong(
        "train --data text.npz", ExitCode.DATA, ("text.npz", "not an .npz")
    ),
    "data without names": Wrong(
        "train --data nameless.npz", ExitCode.DATA, ("nameless.npz", "x or X", "a, b")
    ),
    "unknown data option": Wrong(
        "train --data good.npz --data-option clases=2", ExitCode.DATA, ("clases", "classes")
    ),
    "labels out of range": Wrong(
        "train --data labels.npz --data-option classes=5",
        ExitCode.DATA,
        ("labels.npz", "0 to 4", "row 5", "5"),
    ),
    "negative labels": Wrong(
        "train --data negative.npz --data-option classes=5",
        ExitCode.DATA,
        ("negative.npz", "row 0", "-1", "from 0"),
    ),
    "NaN": Wrong(
        "train --data nan.npz --data-option missing=error",
        ExitCode.DATA,
        ("nan.npz", "row 3, column 1", "nan", "finite"),
    ),
    "zero examples": Wrong(
        "train --data empty.npz", ExitCode.DATA, ("empty.npz", "no examples", "at least one")
    ),
    "uneven arrays": Wrong("train --data uneven.npz", ExitCode.DATA, ("uneven.npz", "20", "19")),
    "nothing to hold out": Wrong(
        "train --data one.npz", ExitCode.DATA, ("holdout 0.2", "1 examples")
    ),
    "more replicas than examples": Wrong(
        "train --data good.npz --replicas 17", ExitCode.DATA, ("17", "16 training", "fewer")
    ),
    "unknown model": Wrong(
        "train --model sofmax", ExitCode.MODEL, ("sofmax", 'did you mean "softmax"', "mlp")
    ),
    "classifier of real numbers": Wrong(
        "train --data real.npz --model softmax",
        ExitCode.DATA,
        ("real.npz", "labels must be whole numbers", "row 0 holds 0.5"),
    ),
    "model without a module": Wrong(
        "train --model nomodule.here:Model", ExitCode.MODEL, ("nomodule.here", "ModuleNotFound")
    ),
    "model that is not in its module": Wrong(
        "train --model wrongmodels:Model", ExitCode.MODEL, ("wrongmodels", '"Model"')
    ),
    "model that cannot be built": Wrong(
        "train --model wrongmodels:Broken", ExitCode.MODEL, ("wrongmodels:Broken", "no such width")
    ),
    "model that lacks something": Wrong(
        "train --model wrongmodels:Half", ExitCode.MODEL, ("lacks", "tensors", "predict()")
    ),
    "options for a built-in model": Wrong(
        "train --model-option width=3", ExitCode.MODEL, ("model_options", '"mlp"', "width")
    ),
    "missing model to start from": Wrong(
        "train --data good.npz --init-from no.safetensors", ExitCode.MODEL, ("no.safetensors",)
    ),
    "model of another shape to start from": Wrong(
        "train --data good.npz --init-from linear.safetensors",
        ExitCode.DATA,
        ("has 2 features, it must have the 3 of the model linear.safetensors",),
    ),
    "output that is a folder": Wrong(
        "train --data good.npz --output folder", ExitCode.USAGE, ("output = folder", "a folder")
    ),
    "output that is a device": Wrong(
        "train --data good.npz --output /dev/null",
        ExitCode.USAGE,
        ("output = /dev/null", "a device"),
    ),
    "output below a file": Wrong(
        "train --data good.npz --output text.npz/model", ExitCode.USAGE, ("text.npz",)
    ),
    "logs below a file": Wrong(
        "train --data good.npz --output model --folder text.npz", ExitCode.USAGE, ("text.npz",)
    ),
    "server that does not answer": Wrong(
        "train --data good.npz --broker redis://127.0.0.1:1 "
        "--parameter-servers redis://127.0.0.1:1 --wait-seconds 0.2",
        ExitCode.UNREACHABLE,
        ("redis://127.0.0.1:1", "within 0.2 s", "refused"),
    ),
    "evaluating no model": Wrong(
        "evaluate --model no.safetensors --data good.npz", ExitCode.MODEL, ("no.safetensors",)
    ),
    "evaluating without a model": Wrong("evaluate --data digits", ExitCode.USAGE, ("--model",)),
    "evaluating a part that is none": Wrong(
        "evaluate --model linear.safetensors --data good.npz --part some",
        ExitCode.USAGE,
        ("some", "heldout"),
    ),
    "evaluating other data": Wrong(
        "evaluate --model linear.safetensors --data good.npz",
        ExitCode.DATA,
        ("good.npz", "2 features", "3"),
    ),
    "predicting from other data": Wrong(
        "predict --model linear.safetensors --data good.npz",
        ExitCode.DATA,
        ("good.npz", "2 features", "3"),
    ),
    "predicting from no file": Wrong(
        "predict --model linear.safetensors --data no.npy", ExitCode.DATA, ("no.npy",)
    ),
    "predicting into nowhere": Wrong(
        "predict --model linear.safetensors --data three.npy --output text.npz/answers",
        ExitCode.DATA,
        ("text.npz/answers", "Not a directory"),
    ),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands above name."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, arrays in FILES.items():
        np.savez(folder / name, **arrays)
    for name, text in CONFIGURATIONS.items():
        (folder / name).write_text(text)
    (folder / "text.npz").write_text("no archive")
    (folder / "folder").mkdir()
    (folder / "wrongmodels.py").write_text(MODEL)
    np.save(folder / "three.npy", np.ones((2, 3), np.float32))
    linear = SavedModel(ModelSettings(model="linear"), Schema(3), np.zeros(4, np.float32))
    linear.save(folder / "linear.safetensors")
    return folder


@pytest.fixture
def here(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with those inputs."""
    folder = tmp_path / "here"
    shutil.copytree(inputs, folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named(case: str, run: Run) -> None:
    wrong = WRONG[case]
    answer = run(*wrong.arguments.split())
    (message,) = re.findall(r"^[Ee]rror: .*$", answer.err, re.MULTILINE)
    assert answer.code == wrong.code, answer.err
    assert all(word in message for word in wrong.words), message
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("train --epochs 3", "--epochs': did you mean '--passes'?"),
        ("train --lr=0.1", "--lr': did you mean '--learning-rate'?"),
        ("train -lr 0.1", "-lr': did you mean '--learning-rate'?"),
        ("train --Batch_Size 8", "--Batch_Size': did you mean '--batch-size'?"),
        ("train --C 3", "--C': set --l2 = 1 / (C * n), n being the number of training examples"),
        (
            "train --no-shuffle",
            "--no-shuffle': minibatches are always shuffled, in an order that --seed decides",
        ),
        (
            "train --n-classes 3",
            "--n-classes': the classes in a file are counted; else give classes with --data-option",
        ),
        ("train --lerning-rate 1", "--lerning-rate': did you mean '--learning-rate'?"),
        ("train --data-options a=b", "--data-options': did you mean '--data-option'?"),
        ("resume RUN --config-file run.toml", "--config-file'."),
        ("resume RUN --epochs 3", "--epochs'."),
        ("resume RUN --num-processes 3", "--num-processes': did you mean '--processes'?"),
        ("status RUN --folow", "--folow': did you mean '--follow'?"),
    ],
)
def test_a_flag_that_is_not_there_leads_to_one_that_is(arguments: str, hint: str, run: Run) -> None:
    answer = run(*arguments.split())
    assert answer.code == ExitCode.USAGE
    assert answer.err.splitlines()[-1] == f"Error: No such option '{hint}"


@pytest.mark.usefixtures("here")
def test_debug_shows_where_an_error_came_from(run: Run) -> None:
    answer = run("--debug", "train", "--data", "no.npz")
    assert answer.code == ExitCode.DATA
    assert answer.err.startswith("Traceback")
    assert re.search("^error: .*no such file", answer.err, re.MULTILINE)


def test_the_program_itself_gives_the_sentence_and_the_code(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "coordinator", "train", "--learning-rate", "-1"],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == ExitCode.USAGE
    assert answer.stderr == (
        "error: learning_rate = '-1' is not allowed: input should be greater than 0\n"
    )
    assert answer.stdout == ""


def test_every_error_has_an_exit_code_of_its_own_family() -> None:
    def family(error: type[DistBeliefError]) -> list[type[DistBeliefError]]:
        return [error, *(each for sub in error.__subclasses__() for each in family(sub))]

    errors = [error for error in family(DistBeliefError) if error is not DistBeliefError]
    assert all(error.exit_code not in {ExitCode.OK, ExitCode.INTERNAL} for error in errors)
