"""Copies of checkpoints: whole or not there, few, and enough to go on elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from distbelief.app.errors import ConfigError, ServerUnreachable
from distbelief.app.files import checkpoint
from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.runs.checkpoint_copies import CheckpointCopies, open_copies
from distbelief.coordinator.runs.checkpoints import Capture, Checkpoints

Write = Callable[..., Path | None]


@pytest.fixture(params=["memory://bucket/runs", "file://"])
def address(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("DISTBELIEF_DATA_PROTOCOLS", "memory,file")
    yield request.param if "memory" in request.param else f"file://{tmp_path}/there"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def said() -> list[str]:
    return []


def vectors(value: float = 1.0) -> Iterator[tuple[str, Vector]]:
    yield "params", np.full(3, value)


def checkpoints(folder: Path, address: str, said: list[str], *, resumed: bool) -> Checkpoints:
    copies = open_copies(address, "nightly", folder, said.append, resumed=resumed)
    return Checkpoints(folder, 30.0, 2, said.append, copies=copies)


def written(kept: Checkpoints, number: int, rank: float | None = None) -> Path | None:
    return kept.write(1, lambda: Capture({"number": number}, vectors, lambda: None, rank))


def copied(address: str) -> list[str]:
    return CheckpointCopies(address, "nightly").names()


def test_who_goes_on_elsewhere_has_the_newest_and_the_best_stays(
    address: str, tmp_path: Path, said: list[str]
) -> None:
    here = checkpoints(tmp_path / "here", address, said, resumed=False)
    for number, rank in enumerate([9.0, 1.0, 2.0, 3.0]):
        written(here, number, rank)
    names = [f"000001-00000{number}" for number in (1, 3, 4)]
    assert checkpoint.names(tmp_path / "here") == copied(address) == names
    file = tmp_path / "run.json"
    file.write_text("{}")
    here.note_run(file)
    here.close()

    elsewhere = checkpoints(tmp_path / "elsewhere", address, said, resumed=True)
    assert CheckpointCopies(address, "nightly").fetch_run(tmp_path / "back" / "run.json")
    assert elsewhere.latest().document["number"] == 3
    assert elsewhere.latest().vector("params").tolist() == [1.0, 1.0, 1.0]
    written(elsewhere, 4, 1.0)
    # The best is known by its manifest at the address alone.
    assert copied(address) == [names[0], names[2], "000001-000005"]
    elsewhere.close()
    assert said == [f"checkpoint {names[2]} was fetched from {address}/nightly"]


def test_a_copy_that_was_cut_off_or_damaged_is_passed_over(
    address: str, tmp_path: Path, said: list[str]
) -> None:
    here = checkpoints(tmp_path / "here", address, said, resumed=False)
    for number in range(3):
        written(here, number)
    here.close()
    files, root = fsspec.core.url_to_fs(f"{address}/nightly")
    files.rm_file(f"{root}/000001-000003/{checkpoint.MANIFEST}")
    assert copied(address) == ["000001-000002"]
    files.pipe_file(f"{root}/000001-000002/0.npy", b"damaged")
    shutil.rmtree(tmp_path / "here")
    again = checkpoints(tmp_path / "here", address, said, resumed=True)
    assert checkpoint.names(tmp_path / "here") == []
    assert len(said) == 1
    assert "wrong digest; trying the checkpoint before it" in said[0]
    assert again.highest_fence() == 1
    again.close()


def test_another_run_of_the_same_name_is_refused(
    address: str, tmp_path: Path, said: list[str]
) -> None:
    here = checkpoints(tmp_path / "here", address, said, resumed=False)
    written(here, 1)
    here.close()
    with pytest.raises(ConfigError, match="has checkpoints of a run of this name"):
        checkpoints(tmp_path / "here", address, said, resumed=False)


def test_storage_that_refuses_is_told_of_and_training_goes_on(
    address: str, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = checkpoints(tmp_path / "here", address, said, resumed=False)
    files, _ = fsspec.core.url_to_fs(address)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(files), "put_file", refuse)
    assert written(here, 1) == tmp_path / "here" / "000001-000001"
    where = f"{address}/nightly cannot be written: AccessDenied"
    assert said == [f"checkpoint 000001-000001 is on this machine only: {where}"]
    monkeypatch.setattr(type(files), "exists", refuse)
    assert here.highest_fence() == 1
    with pytest.raises(ServerUnreachable, match="cannot be listed: AccessDenied"):
        checkpoints(tmp_path / "here", address, said, resumed=True)
    here.close()


def test_an_address_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_DATA_PROTOCOLS", "file,nonsense")
    for address in ("http://host/runs", "nonsense://host/runs", "s3::file:///x"):
        with pytest.raises(ConfigError, match="checkpoint_address"):
            CheckpointCopies(address, "run")
