"""docs/mistakes.md says what is read after a mistake and what works instead: all of it is typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from distbelief.app.errors import ExitCode
from tests.unit.coordinator.conftest import Run

PAGE = (Path(__file__).parents[4] / "docs" / "mistakes.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(\S+)`\n\n```\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL))
ROWS = re.findall(r"^\| `(.*?)` \| (.*?) \| `(.*?)` \|$", PAGE, re.MULTILINE)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_page_has_files_and_mistakes() -> None:
    assert (len(FILES), len(ROWS)) == (4, PAGE.count("\n| `"))


@pytest.mark.parametrize(("typed", "read"), [row[:2] for row in ROWS])
def test_a_mistake_is_answered_by_this_sentence(
    typed: str, read: str, tmp_path: Path, run: Run
) -> None:
    answer = run(*shlex.split(typed))
    assert answer.code not in (ExitCode.OK, ExitCode.INTERNAL)
    last = answer.err.splitlines()[-1]
    assert last.replace(f"{tmp_path}/", "").replace(str(tmp_path), ".") == read


@pytest.mark.parametrize("works", dict.fromkeys(row[2] for row in ROWS))
def test_the_way_out_works(works: str, run: Run) -> None:
    answer = run(*shlex.split(works))
    assert answer.code == ExitCode.OK, answer.err
