"""Saved models come back as they were, or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.models.files import FORMAT, SavedModel, read_model
from distbelief.app.settings.sections import ModelSettings


@pytest.fixture
def saved() -> SavedModel:
    """A small network with a slot; D = 3*2 + 2 + 2*4 + 4 = 20."""
    rng = np.random.default_rng(0)
    parameters, accumulators = rng.normal(size=(2, 20)).astype(np.float32)
    facts = {"run": "20300101-000000-abcd", "heldout": {"n_examples": 3}, "ä": [1.5, None]}
    settings = ModelSettings(model="mlp", hidden=(2,), activation="tanh")
    return SavedModel(settings, Schema(3, 4), parameters, {"adagrad": accumulators}, facts)


def header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


def rewrite(path: Path, *, without: str = "", **changes: str) -> None:
    """The same file with another header, or without one of its tensors."""
    metadata = header(path) | changes
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys() if name != without}  # noqa: SIM118
    save_file(arrays, path, metadata)


def test_a_model_comes_back_to_the_bit(saved: SavedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    again = read_model(path)
    assert again.parameters.tobytes() == saved.parameters.tobytes()
    assert again.slots["adagrad"].tobytes() == saved.slots["adagrad"].tobytes()


def test_a_model_comes_back_with_its_settings_and_facts(saved: SavedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    again = read_model(path)
    assert (again.settings, again.schema) == (saved.settings, Schema(3, 4))
    assert again.facts == saved.facts
    assert again.build() == saved.build()


def test_a_model_without_slots_comes_back_without_slots(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    SavedModel(ModelSettings(model="linear"), Schema(2), np.zeros(3, np.float32)).save(path)
    assert read_model(path).slots == {}


def test_other_programs_read_the_tensors_by_name(saved: SavedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_tensor(name).shape for name in file.keys()}  # noqa: SIM118
    ours = {"layer0.weights": (3, 2), "layer0.bias": (2,), "layer1.weights": (2, 4)}
    ours["layer1.bias"] = (4,)
    assert shapes == ours | {f"slot:adagrad/{name}": shape for name, shape in ours.items()}
    assert json.loads(header(path)["model"])["hidden"] == [2]


def test_folders_on_the_way_are_made(saved: SavedModel, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "model.safetensors"
    saved.save(path)
    assert path.is_file()


def test_nothing_else_is_left_beside_the_file(saved: SavedModel, tmp_path: Path) -> None:
    saved.save(tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_save_that_fails_leaves_the_old_file(
    saved: SavedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    before = path.read_bytes()

    def half_a_file(arrays: Any, partial: Path, metadata: Any) -> None:
        partial.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("distbelief.app.models.files.save_file", half_a_file)
    with pytest.raises(ModelError, match=r"model\.safetensors.*No space left on device"):
        saved.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(saved: SavedModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot write .*file/model"):
        saved.save(tmp_path / "file" / "model")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model file .*nowhere\.safetensors"):
        read_model(tmp_path / "nowhere.safetensors")


def test_a_folder_is_no_model_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        read_model(tmp_path)


def test_a_run_or_its_folder_leads_to_its_model(
    saved: SavedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved.save(tmp_path / "runs" / "first" / "model.safetensors")
    for name in ("first", "runs/first"):
        with pytest.raises(ModelError, match=r"did you mean 'runs/first/model\.safetensors'\?"):
            read_model(Path(name))


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_file_that_is_cut_short_is_refused(saved: SavedModel, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        read_model(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 4)
    with pytest.raises(ModelError, match=r"picture\.png is damaged or no safetensors file"):
        read_model(path)


def test_safetensors_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weights": np.zeros(3, np.float32)}, path)
    with pytest.raises(ModelError, match=f"not a model of this program.*expected {FORMAT}"):
        read_model(path)


def test_another_format_is_named(saved: SavedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    rewrite(path, format="distbelief-99")
    with pytest.raises(ModelError, match=f"its format is distbelief-99, expected {FORMAT}"):
        read_model(path)


@pytest.mark.parametrize("lost", ["layer1.weights", "slot:adagrad/layer0.bias"])
def test_a_tensor_that_is_missing_is_named(saved: SavedModel, tmp_path: Path, lost: str) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    rewrite(path, without=lost)
    with pytest.raises(ModelError, match=lost):
        read_model(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "{}}"},
        {"model": '{"hidden": 3}'},
        {"schema": "three"},
        {"facts": "{"},
        {"schema": json.dumps(Schema(4, 4).to_json())},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_is_refused(
    saved: SavedModel, tmp_path: Path, changes: dict[str, str]
) -> None:
    path = tmp_path / "model.safetensors"
    saved.save(path)
    rewrite(path, **changes)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        read_model(path)


def test_reading_a_file_does_not_import_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "")
    path = tmp_path / "model.safetensors"
    SavedModel(ModelSettings(model="linear"), Schema(2), np.zeros(3, np.float32)).save(path)
    rewrite(path, model=ModelSettings(model="antigravity:Model").model_dump_json())
    with pytest.raises(ModelError, match='importing "antigravity" is not allowed'):
        read_model(path)


def test_a_model_file_has_the_mode_of_the_umask(saved: SavedModel, tmp_path: Path) -> None:
    """Whoever may read the other files of a user may read the model, too."""
    before = os.umask(0o027)
    try:
        saved.save(tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == 0o640


def test_a_device_is_no_place_for_a_model(saved: SavedModel) -> None:
    with pytest.raises(ConfigError, match="/dev/null is a device, which no file may replace"):
        saved.save(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
