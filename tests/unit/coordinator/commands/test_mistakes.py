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


def words(line: str) -> set[str]:
    """What a line is made of; settings and flags are the same words."""
    parts = (word for each in shlex.split(line) for word in each.split("="))
    return {part.lstrip("-").replace("_", "-") for part in parts}


def is_free(word: str) -> bool:
    """Whether it is up to the user: a number within bounds, or a file of the page."""
    return bool(re.fullmatch(r"[0-9.]*", word)) or word in FILES


def test_the_page_has_files_and_mistakes() -> None:
    assert (len(FILES), len(ROWS)) == (PAGE.count("```") // 2, PAGE.count("\n| `"))


@pytest.mark.parametrize(("typed", "read", "works"), ROWS)
def test_a_mistake_is_answered_by_this_sentence_which_names_the_way_out(
    typed: str, read: str, works: str, tmp_path: Path, run: Run
) -> None:
    answer = run(*shlex.split(typed))
    assert answer.code not in (ExitCode.OK, ExitCode.INTERNAL)
    last = answer.err.splitlines()[-1]
    assert last.replace(f"{tmp_path}/", "").replace(str(tmp_path), ".") == read
    said = answer.err.replace("_", "-")
    new = words(works) - words(typed) - {"dry-run", "help"}
    assert {word for word in new if word not in said and not is_free(word)} == set()


@pytest.mark.parametrize("works", dict.fromkeys(row[2] for row in ROWS))
def test_the_way_out_works(works: str, run: Run) -> None:
    answer = run(*shlex.split(works))
    assert answer.code == ExitCode.OK, answer.err
