"""LIBSVM files: scikit-learn reads the same, and each bad line is named with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from distbelief.app.datasets.reading import lines

values = st.floats(-1e6, 1e6, width=32)
rows = st.lists(st.dictionaries(st.integers(0, 20), values, max_size=8), min_size=1, max_size=20)


def matrix(examples: list[dict[int, float]], n_features: int) -> Any:
    features = np.zeros((len(examples), n_features), np.float32)
    for row, example in enumerate(examples):
        for column, value in example.items():
            features[row, column] = value
    return features


@given(
    rows, st.booleans(), st.integers(1, 60), st.sampled_from(["\n", "\r\n", " \t\n", " # 1:2\n"])
)
def test_what_is_written_is_read_in_blocks_of_any_size(
    read: Any, scratch: Path, examples: Any, zero_based: bool, size: int, end: str
) -> None:
    base = 0 if zero_based else 1
    text = [
        " ".join(
            [f"c{i}", *(f"{column + base}:{value!r}" for column, value in sorted(row.items()))]
        )
        for i, row in enumerate(examples)
    ]
    (scratch / "a.libsvm").write_bytes("".join(line + end for line in text).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", size)
        found = read(scratch / "a.libsvm", zero_based=zero_based, features=21)
    assert np.array_equal(found.features, matrix(examples, 21))
    assert found.targets == [f"c{i}" for i in range(len(examples))]


@given(rows, st.booleans())
def test_scikit_learn_reads_the_same(
    read: Any, scratch: Path, examples: Any, zero_based: bool
) -> None:
    path = scratch / "b.svm"
    features = matrix(examples, 21)
    labels = np.arange(len(examples)) - 3.5
    dump_svmlight_file(features, labels, str(path), zero_based=zero_based, comment="made")
    theirs, targets = load_svmlight_file(str(path), n_features=21, zero_based=zero_based)
    found = read(path, zero_based=zero_based, features=21)
    assert np.array_equal(found.features, theirs.toarray().astype(np.float32))
    assert [float(target) for target in found.targets] == targets.tolist()


BAD = {
    "1:2 3:4": "there is no label before '1:2', which the option weight=true takes "
    "for LABEL:WEIGHT",
    "nan 1:2": "the target is missing, it is 'nan'",
    "1e39 1:2": "the target 1e+39 does not fit float32, which ends at 3.4e38",
    "1,3 1:2": "'1,3': several labels for one example are not supported",
    "a\0 1:2": "there is a NUL byte in the label",
    "1 qid:3 1:2": "qid: (ranking data) is not supported",
    "1 0:2": "'0:2': indices count from 1 (the option zero_based=true counts from 0)",
    "1 2:1 1:1": "'1:1': indices must ascend, and the one before is 2",
    "1 2:1 2:1": "'2:1': indices must ascend, and the one before is 2",
    "1 6:1": "'6:1': the largest index that 5 features have is 5",
    "1 99999999999999999:1": "'99999999999999999:1' is not INDEX:VALUE",
    "1 2": "'2' is not INDEX:VALUE",
    "1 -1:2": "'-1:2' is not INDEX:VALUE",
    "1 +1:2": "'+1:2' is not INDEX:VALUE",
    "1 1.0:2": "'1.0:2' is not INDEX:VALUE",
    "1 a:2": "'a:2' is not INDEX:VALUE",
    "1 1:": "'1:': '' is not a number",
    "1 1: 2": "'1:': '' is not a number",
    "1 :2": "':2' is not INDEX:VALUE",
    "1 1 :2": "'1' is not INDEX:VALUE",
    "1 1::2": "'1::2': ':2' is not a number",
    "1 1:2:3 4": "'1:2:3': '2:3' is not a number",
    "1 1:2:3:4": "'1:2:3:4': '2:3:4' is not a number",
    "1 1:x": "'1:x': 'x' is not a number",
    "1 1:1_0": "'1:1_0': '1_0' is not a number",
    "1 1:nan": "'1:nan': nan is not finite",
    "1 1:-inf": "'1:-inf': -inf is not finite",
    "1 1:1e39": "'1:1e39': 1e+39 does not fit float32, which ends at 3.4e38",
    "1 1:3.403e38": "'1:3.403e38': 3.403e+38 does not fit float32, which ends at 3.4e38",
    "\udcff 1:2": "this is not UTF-8 text: invalid start byte after 0 bytes; is it in another "
    "encoding, as the option encoding=cp1252 (or latin-1, cp949) says?",
    "1 1:2 \udcff": "this is not UTF-8 text: invalid start byte after 6 bytes; is it in another "
    "encoding, as the option encoding=cp1252 (or latin-1, cp949) says?",
    "1 1:2\r3 4:5": "'3' is not INDEX:VALUE",
    f"1 1:{'x' * 99}": f"'1:{'x' * 38}...': '{'x' * 40}...' is not a number",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_named_with_its_reason(
    read: Any, refuses: Any, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "a.libsvm"
    path.write_bytes(f"1 1:1\n\n# 0\n{line}\n2 5:1\n".encode(errors="surrogateescape"))
    with refuses(f"{path}: line 4: {BAD[line]} (the option bad_lines=N skips up to N bad lines)"):
        read(path, features=5)
    found = read(path, features=5, bad_lines=1)
    assert [(fault.line, fault.reason) for fault in found.skipped] == [(4, found.skipped[0].reason)]
    assert found.features.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert found.targets == ["1", "2"]


def test_one_bad_line_more_than_tolerated_is_an_error(
    read: Any, refuses: Any, tmp_path: Path, tiny_blocks: None
) -> None:
    path = tmp_path / "a.libsvm"
    path.write_text("1 1:1\nx\n2 2:2\n1 x\n1 y\n1 z\n")
    with refuses(
        f"{path}: line 6: 'z' is not INDEX:VALUE; this is bad line number 3, and the option "
        "bad_lines=2 tolerates no more"
    ):
        read(path, bad_lines=2)


def lonely(line: str) -> tuple[str, dict[int, float]] | None:
    """A line as scikit-learn would have it, by plain loops; None if it cannot be used."""
    label, *pairs = line.split()
    example: dict[int, float] = {}
    for pair in pairs:
        index, _, value = pair.partition(":")
        if not index.isdigit() or int(index) <= max(example, default=0) or "_" in value:
            return None
        try:
            example[int(index)] = float(value)
        except ValueError:
            return None
    return (label, example) if ":" not in label and "," not in label else None


tokens = st.sampled_from(
    ["1", "2", "1:1", "2:2", "3:-.5", "4:1e2", "0:1", "x", ":", "3:", "5:a", "1:1:1"]
)


@given(st.lists(st.lists(tokens, min_size=1, max_size=5).map(" ".join), min_size=1, max_size=9))
def test_good_and_bad_lines_are_told_apart_as_by_a_plain_loop(
    read: Any, scratch: Path, text: list[str]
) -> None:
    path = scratch / "c.libsvm"
    path.write_text("9 1:1\n" + "\n".join(text))
    expected = [lonely(line) for line in text]
    found = read(path, bad_lines=99)
    assert found.targets == ["9", *(each[0] for each in expected if each)]
    assert [fault.line - 2 for fault in found.skipped] == [
        i for i, each in enumerate(expected) if each is None
    ]
    width = found.columns.n_features
    good = [{i - 1: value for i, value in each[1].items()} for each in expected if each]
    assert np.array_equal(found.features[1:], matrix(good, width))


@given(st.binary(max_size=200) | st.text("12:.# \r\n,-", max_size=60).map(str.encode))
def test_any_bytes_are_examples_or_one_clear_error(
    read_or_refuse: Any, scratch: Path, content: bytes
) -> None:
    path = scratch / "d.libsvm"
    path.write_bytes(content)
    found = read_or_refuse(path, bad_lines=3, features=300)
    if found is not None:
        assert np.isfinite(found.features).all()
        assert len(found.targets) == len(found.features)
    read_or_refuse(path, labelled=False, bad_lines=3, features=300)


def test_without_labels_lines_may_have_one_or_not(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.libsvm"
    path.write_text("1 2:3\n1:4\n7\n-1,2 1:1 2:1\n\n2:9")
    found = read(path, labelled=False)
    assert found.features.tolist() == [[0, 3], [4, 0], [0, 0], [1, 1], [0, 9]]
    assert found.targets is None


def test_the_largest_index_says_how_many_features_there_are(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.libsvm").write_text("a 1048576:1\nb 3:1\n")
    reader = read(tmp_path / "a.libsvm").reader
    assert reader.columns.n_features == 1 << 20
    assert reader.reading_options == {"features": 1 << 20, "zero_based": False}
    assert reader.sparse


def test_a_file_of_labels_alone_has_no_features(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.libsvm").write_text("a\nb")
    assert read(tmp_path / "a.libsvm").features.shape == (2, 0)
