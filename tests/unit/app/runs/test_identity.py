"""Two processes compute the same, or a sentence says what differs and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from distbelief.app.runs import versions
from distbelief.app.runs.identity import Identity, other_code, other_modules
from distbelief.app.runs.versions import code_digest

HERE = Identity("1.2", "abc", {"own": "111", "own.layers": "222"})


def test_an_identity_survives_json() -> None:
    assert Identity.from_json(HERE.to_json()) == HERE


def test_the_same_code_has_no_objection() -> None:
    assert other_code("w", HERE, HERE) is None
    assert other_modules("w", HERE, HERE) is None


def test_other_code_is_told_with_both_digests_and_a_remedy() -> None:
    said = other_code("7@host", replace(HERE, code="def"), HERE)
    assert said == (
        "worker 7@host runs other code of this program (version 1.2, digest def) than the "
        "coordinator (version 1.2, digest abc): install the same version on both, and restart "
        "the worker"
    )


@pytest.mark.parametrize(("version", "objects"), [("1.2", False), ("1.3", True)])
def test_without_sources_versions_are_compared(version: str, objects: bool) -> None:
    said = other_code("w", replace(HERE, version=version, code=""), HERE)
    assert bool(said) == objects
    assert said is None or "(version 1.3, no source to compare)" in said


def test_another_module_is_named_with_both_digests_and_a_remedy() -> None:
    said = other_modules("7@host", replace(HERE, modules={"own": "111", "own.layers": "9"}), HERE)
    assert said is not None
    assert "imported another own.layers (digest 9) than the coordinator (digest 222)" in said
    assert "restart the worker" in said


def test_code_without_its_sources_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app" / "runs").mkdir(parents=True)
    (tmp_path / "app" / "runs" / "versions.pyc").touch()
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "app" / "runs" / "versions.pyc"))
    assert code_digest.__wrapped__() == ""
