"""Text as people's programs write it: encodings, line ends, comments, skipped lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distbelief.app.datasets.cache.opening import open_cached

TABLE = "name,n,y\nJosé,1,été\n김치,2,naïve\n"
LATIN = "name,n,y\nJosé,1,été\nœuvre €,2,naïve\n"
KOREAN = "이름,n,y\n김치,1,가\n된장,2,똠방각하\n"


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-8", TABLE),
        ("cp1252", LATIN),
        ("latin-1", "name,n,y\nJosé,1,été\nnaïve,2,à\n"),
        ("cp949", KOREAN),
        ("gb18030", KOREAN),
        ("shift_jis", "n,y\n1,表\n2,ソ\n"),
        ("utf-16-le", TABLE),
    ],
)
def test_an_encoding_is_read_as_its_utf_8_is(
    read: Any, tmp_path: Path, encoding: str, content: str
) -> None:
    (tmp_path / "plain.csv").write_text(content)
    (tmp_path / "a.csv").write_bytes(content.encode(encoding))
    plain, found = read(tmp_path / "plain.csv"), read(tmp_path / "a.csv", encoding=encoding)
    assert found.targets == plain.targets
    assert found.columns == plain.columns
    assert (found.features == plain.features).all()


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("encoding", ["cp949", "utf-16-le", "utf-8"])
def test_a_character_may_lie_on_the_border_of_two_blocks(
    read: Any, tmp_path: Path, encoding: str
) -> None:
    lines = [f"{'가나다' * (i % 5)}{i},{i}" for i in range(40)]
    (tmp_path / "a.csv").write_bytes("\n".join(["n,y", *lines]).encode(encoding))
    found = read(tmp_path / "a.csv", encoding=encoding, target="n", categorical="")
    assert found.targets == [line.partition(",")[0] for line in lines]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_mark_at_the_beginning_says_the_encoding(
    read: Any, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "a.csv").write_bytes(TABLE.encode(encoding))
    assert read(tmp_path / "a.csv").targets == ["été", "naïve"]
    assert read(tmp_path / "a.csv", encoding="cp1252").targets == ["été", "naïve"]


def test_wrong_bytes_are_named_with_their_line(read: Any, refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(KOREAN.encode("cp949") + b"1,\x80\xff,x\n" + "김,3,가\n".encode("cp949"))
    with refuses(f"{path}: line 4: this is not cp949 text: wrong bytes after 2 characters"):
        read(path, encoding="cp949")
    found = read(path, encoding="cp949", bad_lines=1)
    assert (len(found.targets), found.skipped[0].line) == (3, 4)
    with refuses(f"{path}: line 1: this is not UTF-8 text: "):
        read(path)


def test_bytes_that_would_be_utf_8_are_wrong_all_the_same(
    read: Any, refuses: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.libsvm"
    path.write_bytes(b"ok 1:1\n\xc2\x81 1:2\n")  # U+0081, and cp1252 has no 81
    assert len(read(path).targets) == 2
    with refuses("line 2: this is not cp1252 text: wrong bytes after 1 characters"):
        read(path, encoding="cp1252")


@pytest.mark.parametrize("name", ["klingon", "rot13", "base64", 7])
def test_what_is_no_encoding_of_text_is_refused(
    read: Any, refuses: Any, tmp_path: Path, name: Any
) -> None:
    (tmp_path / "a.csv").write_text(TABLE)
    with refuses("option encoding must be a name that Python has for an encoding"):
        read(tmp_path / "a.csv", encoding=name)


def test_lines_may_end_with_a_carriage_return_alone(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b,y\r1,2,x\r3,4,z\r")
    found = read(tmp_path / "a.csv")
    assert (found.features.tolist(), found.targets) == ([[1, 2], [3, 4]], ["x", "z"])
    (tmp_path / "a.libsvm").write_bytes(b"1 1:2\r0 2:3\r")
    assert read(tmp_path / "a.libsvm").features.tolist() == [[2, 0], [0, 3]]


def test_comments_and_skipped_lines_keep_their_numbers(
    read: Any, refuses: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Report of May\n\n# made by hand\na,y\n1,x\n  # two, more\n2,z\nq,x\n")
    with refuses("line 8: column 'a': 'q' is not a number"):
        read(path, skip=1, comment="#", categorical="")
    found = read(path, skip=1, comment="#", categorical="", bad_lines=1)
    assert (found.features.tolist(), found.targets) == ([[1], [2]], ["x", "z"])
    assert found.reader.reading_options.items() >= {"skip": 1, "comment": "#"}.items()


@pytest.mark.usefixtures("tiny_blocks")
def test_many_lines_may_be_skipped_in_each_file(read: Any, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("some words\n" * 20 + "a,y\n1,2\n3,4\n")
    assert read(tmp_path / "*.csv", skip=20).targets == ["2", "4"] * 2


def test_other_files_are_read_in_the_same_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LATIN.encode("cp1252"))
    data = open_cached(str(tmp_path / "a.csv"), {"encoding": "Windows-1252"}, tmp_path / "cache")
    assert data.facts.reading["encoding"] == "cp1252"
    assert "comment" not in data.facts.reading
