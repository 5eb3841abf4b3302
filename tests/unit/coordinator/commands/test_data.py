"""The command that looks at data and at the cache."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.errors import ExitCode

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))


def test_the_cache_says_what_it_holds_and_lets_it_go(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a9a").write_text("1 1:2\n0 2:1\n")
    assert run("data", tmp_path / "a9a").code == ExitCode.OK
    answer = json.loads(run("data", "--cache", "--json").out)
    (entry,) = answer["data"]
    assert (answer["folder"], answer["limit"]) == (str(tmp_path / "cache"), 20 * 10**9)
    assert entry["source"] == str(tmp_path / "a9a")
    assert answer["bytes"] == entry["bytes"] > 0
    lines = run("data", "--cache").out.splitlines()
    assert lines[0].startswith(f"cache: {tmp_path}/cache, 0.0 MB of 20,000.0 MB at most")
    assert lines[1].startswith(f"  {tmp_path}/a9a: 0.0 MB, used ")
    assert run("data", "--clear-cache").out == "removed: 0.0 MB\n"
    assert json.loads(run("data", "--cache", "--json").out)["data"] == []
    assert json.loads(run("data", "--clear-cache", "--json").out) == {
        "removed_bytes": 0, "in_use": [],
    }  # fmt: skip


@pytest.mark.parametrize("words", [(), ("digits", "--cache"), ("--cache", "--clear-cache")])
def test_one_thing_is_asked_at_a_time(run: Run, words: tuple[str, ...]) -> None:
    answer = run("data", *words)
    assert answer.code == ExitCode.USAGE
    assert "give one of a file, --cache and --clear-cache" in answer.err


def test_a_limit_that_is_none_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE_LIMIT", "lots")
    answer = run("data", "--cache")
    assert answer.code == ExitCode.USAGE
    assert "DISTBELIEF_CACHE_LIMIT must be a number of bytes, like 500MB or 20GB" in answer.err


def test_standard_input_is_data(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;y\n1;2\n3;4\n")))
    answer = run("data", "-", "--json")
    assert json.loads(answer.out)["examples"] == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;y\n1;2\n3;4\n")))
    answer = run("train", "--data", "-", "--holdout", "0", "--dry-run")
    assert "/stdin" in answer.out.partition("\ndata = ")[2].partition("\n")[0]
