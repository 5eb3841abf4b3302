"""What a worker may import: what its operator allows, or the program whose own it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from distbelief.app.errors import ModelError
from distbelief.app.models import imports
from distbelief.app.models.imports import (
    ALLOWED_IMPORTS_VARIABLE,
    OWNER_FILE_VARIABLE,
    allow_import,
    allowed_imports,
    load,
    tell,
)


@pytest.fixture(autouse=True)
def _nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOWED_IMPORTS_VARIABLE, raising=False)
    monkeypatch.setattr(imports, "_allowed_here", [])
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_what_is_allowed_later_is_told_to_workers_that_are_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "given_later"
    (tmp_path / f"{module}.py").write_text("def Model(): return 7\n")
    file = tmp_path / "told.json"
    tell(file)
    monkeypatch.setenv(OWNER_FILE_VARIABLE, str(file))
    with pytest.raises(ModelError, match=f'importing "{module}" is not allowed'):
        load(f"{module}:Model")
    with monkeypatch.context() as program:  # which goes on meanwhile
        program.setattr(imports, "_allowed_here", [])
        program.setattr(sys, "path", [*sys.path, str(tmp_path)])
        allow_import(module)
        tell(file)
    assert allowed_imports() == (module,)
    assert load(f"{module}:Model")() == 7
    del sys.modules[module]


def test_a_program_that_has_ended_allows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWNER_FILE_VARIABLE, str(tmp_path / "gone.json"))
    assert allowed_imports() == ()


def test_the_program_itself_is_no_module_for_workers() -> None:
    allow_import("__main__")
    words = r"""the model "__main__:Net" lies in the program itself.* name it "mynets:Net\""""
    with pytest.raises(ModelError, match=words):
        load("__main__:Net")
