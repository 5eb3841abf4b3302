"""What stands between two fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

#: As in the UCI repository, blanks, a tab, and a name in quotes.
MPG = """18.0   8   307.0      130.0      3504.      12.0   70  1\t"chevrolet chevelle malibu"
15.0   8   350.0      165.0      3693.      11.5   70  1\t"buick skylark 320"
24.0   4   113.0      95.00      2372.      15.0   70  3\t"toyota  corona"
"""


@pytest.mark.parametrize(
    ("name", "content", "delimiter"),
    [
        ("a.csv", "a,b,y\n1,2,3\n", ","),
        ("a.csv", "a;b;y\n1;2;3\n", ";"),
        ("a.csv", "a;b;y\n1,5;2,5;3\n0,5;4,5;1\n", ";"),
        ("a.csv", "1,5;2,5;3\n0,5;4,5;1\n", ";"),
        ("a.csv", "a,tags,y\n1,x;y,2\n2,z;w,3\n", ","),
        ("a.csv", 'a|b|y\n1|"x, or y"|2\n', "|"),
        ("u.data", "196\t242\t3\n186\t302\t3\n", "\t"),
        ("iris.data", "5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n", ","),
        ("auto-mpg.data", MPG, r"\s+"),
        ("a.txt", "  1 2  3\n 4   5 6 \n", r"\s+"),
        ("temps", "temp,date\n39.4,2010/01/01 00:00\n39.2,2010/01/01 01:00\n", ","),
        ("places", "name,at\nBonn,50.7 7.1\nUlm,48.4 10.0\n", ","),
        ("a.tsv", "a\ty\n1,5\t2,5\n", "\t"),
    ],
)
def test_a_delimiter_is_what_all_lines_agree_on(
    read: Any, tmp_path: Path, name: str, content: str, delimiter: str
) -> None:
    (tmp_path / name).write_text(content)
    header = content[0].isalpha()
    options = {"decimal": ","} if "1,5" in content else {}
    if "date" in content:
        options = {"dates": "date", "date_format": "%Y/%m/%d %H:%M"}
    found = read(tmp_path / name, header=header, target=0, **options)
    assert found.reader.reading_options["delimiter"] == delimiter


def test_blanks_keep_what_is_in_quotes(read: Any, tmp_path: Path) -> None:
    (tmp_path / "auto-mpg.data").write_text(MPG)
    found = read(tmp_path / "auto-mpg.data", header=False)
    assert found.targets == [
        "chevrolet chevelle malibu", "buick skylark 320", "toyota  corona",
    ]  # fmt: skip
    assert found.features[0].tolist() == [18, 8, 307, 130, 3504, 12, 70, 1]


@pytest.mark.usefixtures("tiny_blocks")
def test_blanks_are_one_delimiter_in_every_block(read: Any, tmp_path: Path) -> None:
    lines = [f"{' ' * (i % 3)}{i}{' ' * (1 + i % 4)}\t{i}  " for i in range(50)]
    (tmp_path / "a.txt").write_text("\r\n".join(lines))
    found = read(tmp_path / "a.txt", format="csv", delimiter=r"\s+", header=False)
    assert found.features[:, 0].tolist() == list(range(50))


def test_where_two_are_possible_the_user_is_asked(read: Any, refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a,b;c\nd,e;f\n")
    with refuses("a.txt: what stands between two fields may be a comma or ;: say with the option"):
        read(tmp_path / "a.txt")
    assert read(tmp_path / "a.txt", delimiter=";", header=False).targets == ["c", "f"]


def test_a_line_in_a_hundred_may_be_wrong(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n" + "1;2\n" * 98 + "1;2;3\n")
    assert len(read(tmp_path / "a.csv", target="b", bad_lines=1).targets) == 98


def test_one_column_to_predict_from_needs_no_delimiter(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n2\n")
    assert read(tmp_path / "a.csv", labelled=False).features.tolist() == [[1], [2]]
