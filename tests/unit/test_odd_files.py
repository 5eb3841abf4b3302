"""Odd files of every kind that commands read end with one sentence, never an internal error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import CheckpointError, ConfigError, DistBeliefError, ModelError
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import MANIFEST
from distbelief.app.files.documents import MOST_DEPTH, parse, parse_object
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.settings.config import RunConfig, configure
from distbelief.app.settings.sections import ModelSettings
from distbelief.app.settings.toml import read_toml
from distbelief.coordinator.problem import memory_estimate, problem
from distbelief.coordinator.report import reading
from distbelief.coordinator.report.secrets import without_secrets
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.folder import RunFolder
from tests.unit.coordinator.report import journals

DEEP = "[" * 100_000

#: In the place of anything that a document holds.
ODD: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, float("nan"), float("inf"), "", "x", "../x", "\x1b[2J", [], [[]],
    {}, {"a": 1}, [1, 2],
)  # fmt: skip


def replaced(document: Any, odd: Any) -> list[Any]:
    """Copies of a document in which one value each, at any depth, is an odd one."""
    found = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        inner = replaced(value, odd) if isinstance(value, dict | list) else []
        for each in (odd, *inner):
            copy = dict(document) if isinstance(document, dict) else list(document)
            copy[key] = each
            found.append(copy)
    return found


# --- documents


def test_documents_without_end_are_refused() -> None:
    assert parse("[" * MOST_DEPTH + "]" * MOST_DEPTH) is not None
    for text in (DEEP, "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), '{"a":' * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse(text)
    for text in ("[]", "1", '"x"', "null"):
        with pytest.raises(ValueError, match="no JSON object"):
            parse_object(text)


@pytest.mark.parametrize(
    "text", [f"a = {'[' * 50_000}", f"seed = {'9' * 5000}", "a = \x00", "\xff"]
)
def test_settings_without_end_are_no_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"a\.toml is not valid TOML"):
        read_toml(tmp_path / "a.toml")


def test_a_value_in_a_message_has_an_end() -> None:
    for value in (10**5000, "x" * 10**6, [1.5] * 10**5):
        with pytest.raises(ConfigError) as raised:
            configure({"activation": value})
        assert len(str(raised.value)) < 400


def test_a_model_that_no_memory_holds_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RunConfig(hidden=(10**6, 10**6, 10**6))
    with pytest.raises(ModelError, match=r"has 2,000,0[\d,]+ numbers: .*32 TB.*make it smaller"):
        problem.prepare(settings, 1)
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: 1000)
    with pytest.raises(ModelError, match="1 kB are left"):
        problem.prepare(RunConfig(), 1)


# --- model files


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model file with another header, or other arrays."""
    settings = ModelSettings(model="softmax")
    saved = SavedModel(settings, Schema(3, 2, labels=("a", "b")), np.zeros(8, np.float32))

    def write(arrays: dict[str, Any] | None = None, **header: str) -> Path:
        good = {
            "format": "distbelief-2",
            "model": settings.model_dump_json(),
            "schema": json.dumps(saved.schema.to_json()),
            "facts": "{}",
            "seed": "0",
        }
        save_file(saved.arrays() | (arrays or {}), tmp_path / "m", good | header)
        return tmp_path / "m"

    read_model(write())
    return write


@pytest.mark.parametrize("name", ["model", "schema", "facts", "seed"])
@pytest.mark.parametrize("text", ["[1,2]", DEEP, "1", "null", '"x"', "", "9" * 5000, "-1", "{}"])
def test_a_model_file_with_an_odd_header_is_damaged(model: Any, name: str, text: str) -> None:
    if (name, text) in (("facts", "{}"), ("seed", "1")):
        return
    with pytest.raises(ModelError):
        read_model(model(**{name: text}))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_model_file_with_an_odd_schema_is_damaged_or_read(model: Any, odd: Any) -> None:
    for document in replaced(Schema(3, 2, labels=("a", "b")).to_json(), odd):
        try:
            found = read_model(model(schema=json.dumps(document)))
        except ModelError:
            continue
        assert Schema.from_json(found.schema.to_json()) == found.schema


@pytest.mark.parametrize(
    "arrays",
    [
        {"q:rows": np.zeros(3, np.int64)},
        {"stray": np.zeros(3, np.float32)},
        {"slot:adagrad/weights": np.zeros((3, 2), np.float32)},
        {"slot:": np.zeros(3, np.float32)},
        {"slot:a/weights": np.zeros(1, np.float32), "slot:a/bias": np.zeros(2, np.float32)},
        {"weights": np.zeros((3, 2), np.int64)},
        {"weights": np.zeros((2, 3), np.float32)},
        {"weights:rows": np.zeros(3, np.int64)},
    ],
)
def test_a_model_file_with_other_tensors_is_none_of_this_model(model: Any, arrays: Any) -> None:
    with pytest.raises(ModelError, match="tensor"):
        read_model(model(arrays))


@pytest.mark.parametrize("ids", [[5, 3], [0, 0], [-1, 2], [3, 9], [0.5, 1.0]])
def test_rows_that_are_none_of_a_table_are_refused(tmp_path: Path, ids: list[Any]) -> None:
    settings = ModelSettings(model="softmax")
    header = {
        "format": "distbelief-2",
        "model": settings.model_dump_json(),
        "schema": json.dumps(Schema(9, 2, sparse=True).to_json()),
        "facts": "{}",
        "seed": "0",
    }
    arrays = {
        "weights": np.zeros((2, 2), np.float32),
        "weights:rows": np.array([1, 3]),
        "bias": np.zeros(2, np.float32),
    }
    save_file(arrays, tmp_path / "m", header)
    read_model(tmp_path / "m")
    save_file(arrays | {"weights:rows": np.array(ids)}, tmp_path / "m", header)
    with pytest.raises(ModelError, match="no rows of a table of 9"):
        read_model(tmp_path / "m")


# --- checkpoints


def tampered(path: Path, body: Any) -> None:
    """Write another manifest, with the digest that fits it."""
    text = json.dumps({"sha256": checkpoint._digest_of(body), "body": body})
    (path / MANIFEST).write_text(text)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Two checkpoints; the newer one is to be tampered with."""
    folder = tmp_path / "checkpoints"
    for name in ("1", "2"):
        checkpoint.write(folder, name, {"rank": 1.0}, [("params", np.zeros(3))])
    return folder


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_tampered_manifest_is_not_the_last_good_checkpoint(checkpoints: Path, odd: Any) -> None:
    good = checkpoint.manifest(checkpoints / "2")
    for body in (odd, *replaced(good, odd)):
        tampered(checkpoints / "2", body)
        refused: list[str] = []
        found = checkpoint.latest(checkpoints, refused.append)
        assert found is not None
        if found.path.name == "2":  # another document, or rank
            assert isinstance(found.document, dict)
            assert set(found.files.values()) <= {"0.npy"}


@pytest.mark.parametrize(
    "file", ["../../secret.npy", "/etc/passwd", "sub/0.npy", "link.npy", "1.npy"]
)
def test_a_manifest_names_no_file_outside_of_its_folder(checkpoints: Path, file: str) -> None:
    np.save(checkpoints.parent / "secret.npy", np.ones(3))
    for name in ("link.npy", "1.npy"):
        (checkpoints / "2" / name).symlink_to(checkpoints.parent / "secret.npy")
    body = checkpoint.manifest(checkpoints / "2")
    digest = checkpoint._digest(checkpoints.parent / "secret.npy")
    body["vectors"]["params"] = {"file": file, "sha256": digest}
    tampered(checkpoints / "2", body)
    refused: list[str] = []
    found = checkpoint.latest(checkpoints, refused.append)
    assert found is not None
    assert found.path.name == "1"
    assert "params is not in a file of this folder" in refused[0]


def test_a_manifest_without_end_is_damaged(checkpoints: Path) -> None:
    (checkpoints / "2" / MANIFEST).write_text(DEEP)
    with pytest.raises(CheckpointError, match="nested too deeply"):
        checkpoint.manifest(checkpoints / "2")


def test_a_document_that_does_not_say_what_it_should_is_a_checkpoint_error(
    checkpoints: Path,
) -> None:
    saved = checkpoint.read(checkpoints / "1")
    for access in (lambda d: d["driver"], lambda d: d["rank"]["x"], lambda d: d.x):
        with (
            pytest.raises(CheckpointError, match="does not say what it should"),
            checkpoint.understood(saved) as document,
        ):
            access(document)
    with pytest.raises(CheckpointError, match="holds no other"):
        saved.vector("other")


# --- run folders and journals


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_record_of_a_run_is_a_sentence(
    tmp_path: Path, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = journals.downpour(tmp_path / "run")
    good = json.loads((folder / "run.json").read_text())
    for document in (odd, *replaced(good, odd)):
        (folder / "run.json").write_text(json.dumps(document))
        for look in (
            lambda: RunFolder(folder).outcome(),
            lambda: resumption.find("run", {"folder": str(tmp_path)}),
        ):
            try:
                look()
            except DistBeliefError:
                continue
    (folder / "run.json").write_text(DEEP)
    with pytest.raises(ConfigError, match="nested too deeply"):
        RunFolder(folder).read()


def test_odd_events_are_counted_and_the_rest_is_reported(tmp_path: Path) -> None:
    folder = journals.downpour(tmp_path / "run")
    lines = [
        DEEP, "[]", "1", "{}", '{"at": 1}', '{"at": Infinity, "kind": "x"}',
        '{"at": NaN, "kind": 1}',
        '{"at": "x", "kind": "x"}', '{"at": 1e300, "kind": "x"}', '{"at": [], "kind": "x"}',
        '{"at": -1, "kind": "x"}', "\x1b[2J", '{"at": 1, "kind": "unit", "examples": Infinity}',
    ]  # fmt: skip
    (folder / "events.jsonl").write_text("\n".join(lines) + '\n{"at": 1, "ki')
    history = reading.read(folder)
    assert f"{len(lines)} events of the journal could not be understood." in history.notes


def test_what_hides_credentials_takes_time_for_its_length_alone() -> None:
    def seconds(text: str) -> float:
        began = time.process_time()
        without_secrets(text)
        return time.process_time() - began

    for piece in ("a", "a.", "://", "a://", "@", "redis://u:", "a://b@"):
        assert seconds(piece * (1_000_000 // len(piece))) < 2


def test_credentials_are_hidden_as_before() -> None:
    hidden = without_secrets("to redis://me:p/@?w@host/0 and 'rediss://:x@h' a@b http://c")
    assert hidden == "to redis://...@host/0 and 'rediss://...@h' a@b http://c"


# --- estimators


@pytest.mark.parametrize("name", ["cluster", "data", "algorithm", "data_options"])
def test_settings_of_an_estimator_that_are_said_elsewhere_are_refused(name: str) -> None:
    from distbelief.coordinator.estimators import DownpourClassifier

    model = DownpourClassifier(settings={name: 1})
    with pytest.raises(ConfigError, match=f"settings must not hold {name}: "):
        model.fit(np.ones((4, 2)), np.array([0, 1, 0, 1]))
