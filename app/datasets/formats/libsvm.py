"""LIBSVM files, also called svmlight: ``LABEL INDEX:VALUE INDEX:VALUE ... # comment``.

Indices ascend within a line and count from 1, or from 0 with ``zero_based``; what is not
named is 0. Lines with nothing but a comment are passed over. Ranking files (``qid:``) and
several labels for one example (``1,3``) are refused. With ``weight`` a label is followed by the
weight of its example, ``LABEL:WEIGHT``.

A block is read by array operations as a whole. Where these find that something is wrong,
each line is judged by itself to say which, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk, Columns, CsrRows
from distbelief.app.datasets.formats.options import MOST_FEATURES
from distbelief.app.datasets.reading.decimals import Content, Positions
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.lines import Block, blocks
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.reader import Progress, Reader
from distbelief.app.datasets.reading.text import Text, fault_of_bytes
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import fault_of_text, objects, shown
from distbelief.app.datasets.reading.weights import (
    AUTO,
    MISSING,
    WEIGHT,
    fault_of_weight_text,
    usable,
)
from distbelief.app.settings.sections import Scalar

_COMMENT = re.compile(rb"#[^\n]*")
_BLANKS = re.compile(rb"[ \t\r]+")
_INDEX = re.compile(r"[0-9]{1,16}")
_RANKING = "qid: (ranking data) is not supported"
_NO = "the option weight=false: there are none"
_IS_BREAK = np.isin(np.arange(256), list(b" \t\r\n:"))


class LibsvmReader(Reader):
    """Reads LIBSVM files; the number of features is known after the last chunk."""

    form = "libsvm"
    unit = "line"
    sparse = True

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> None:
        super().__init__(files, settings, progress, use)
        self._base = 0 if settings["zero_based"] else 1
        self._limit: int = settings["features"] or MOST_FEATURES
        self._seen = 0
        #: Whether labels have weights; None until the first one says it.
        self._weighted: bool | None = None if settings[WEIGHT] == AUTO else settings[WEIGHT]
        self._text = Text.of(settings)

    @property
    def columns(self) -> Columns:
        return Columns(self._settings["features"] or self._seen)

    @property
    def reading_options(self) -> dict[str, Scalar]:
        settings = {"features": self.columns.n_features, "zero_based": not self._base}
        weights = {WEIGHT: AUTO} if self._weighted else {}
        return {**settings, **weights, **self._text.reading_options()}

    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        for block in blocks(file, self._text):
            try:
                chunk = self._read(block.content)
            except ValueError:
                content, dropped = self._without_faults(file, block)
                chunk = replace(self._read(content), dropped=dropped)
            self._report(file, block.position)
            yield chunk

    def _read(self, content: bytes) -> Chunk:
        """The examples of whole lines; ValueError if anything is wrong with one."""
        content = _COMMENT.sub(b"", content) if b"#" in content else content
        layout = self._layout(content)
        if not content.isascii():
            content.decode()
        tokens = _tokens(content, layout)
        numbers = Content(content)
        indices = numbers.integers(*tokens.indices) - self._base
        values = numbers.numbers(*tokens.values)
        self._check(indices, values, tokens.indptr)
        targets = None
        if self._use.labelled:
            pairs = zip(*(ends.tolist() for ends in tokens.labels), strict=True)
            labels = [content[start:end].decode() for start, end in pairs]
            if len(labels) < len(tokens.indptr) - 1 or any(map(self._fault_of_label, set(labels))):
                raise ValueError("a label is missing or unusable")
            targets = objects(labels)
        weights = None
        if self._use.labelled and self._weighted:
            weights = numbers.doubles(*tokens.weights, exact=True)
            if len(weights) < len(tokens.indptr) - 1 or not usable(weights).all():
                raise ValueError("a weight is missing or unusable")
        self._seen = max(self._seen, int(indices.max(initial=-1)) + 1)
        return Chunk(CsrRows(tokens.indptr, indices, values), targets, weights=weights)

    def _layout(self, content: bytes) -> _Layout:
        """What lines begin with; the first label says whether these have weights."""
        if self._use.labelled and self._weighted is None:
            first = content.split(maxsplit=1)
            self._weighted = b":" in first[0] if first else None
        return _Layout(self._use.labelled, self._weighted)

    def _check(
        self, indices: Positions, values: npt.NDArray[np.float32], indptr: Positions
    ) -> None:
        ascends = np.diff(indices) > 0
        borders = indptr[(indptr > 0) & (indptr < len(indices))]
        ascends[borders - 1] = True  # from one line to the next
        if not ascends.all():
            raise ValueError("indices do not ascend")
        if indices.min(initial=0) < 0 or indices.max(initial=0) >= self._limit:
            raise ValueError("an index is out of range")
        if not np.isfinite(values).all():
            raise ValueError("a value is not finite")

    def _without_faults(self, file: DataFile, block: Block) -> tuple[bytes, tuple[int, ...]]:
        """The lines that can be used, and where others were; these are counted, or are an error."""
        good, dropped, n_rows = [], list[int](), 0
        for number, line in enumerate(block.content.split(b"\n"), block.first):
            reason = self._judged(line)
            if reason is None:
                good.append(line)
                n_rows += bool(_BLANKS.sub(b"", _COMMENT.sub(b"", line)))
            else:
                self._fault(file, number, reason)
                dropped.append(n_rows)
                n_rows += 1
        return b"\n".join(good), tuple(dropped)

    def _judged(self, line: bytes) -> str | None:
        """Why a line cannot be used; None if it can."""
        line = _COMMENT.sub(b"", line)
        # NUL bytes are found where they stand.
        if wrong := fault_of_bytes(line.replace(b"\0", b"?"), self._text.encoding):
            return wrong
        text = _BLANKS.sub(b" ", line).decode().strip(" ")
        first, _, rest = text.partition(" ")
        if not text:
            return None
        if not self._use.labelled and not self._weighted and ":" in first:
            if self._weighted is None:
                weight = "LABEL:WEIGHT (the option weight=true)"
                return f"{shown(first)} may be {weight} or INDEX:VALUE ({_NO})"
            first, rest = "", text
        label, colon, weight = first.partition(":")
        if self._use.labelled and (fault := self._fault_of_first(label, colon, weight)):
            return fault
        return self._fault_of_pairs(rest.split(" ") if rest else [])

    def _fault_of_first(self, label: str, colon: str, weight: str) -> str | None:
        """Why a label, and a weight where one is, cannot be used; None if they can."""
        if colon and not self._weighted:
            return (
                f"there is no label before {shown(f'{label}:{weight}')}, which the option "
                "weight=true takes for LABEL:WEIGHT"
            )
        if fault := self._fault_of_label(label):
            return fault
        if not self._weighted:
            return None
        if not colon:
            return f"{MISSING} behind the label {shown(label)}, LABEL:WEIGHT is needed ({_NO})"
        return fault_of_weight_text(weight, Notation())

    def _fault_of_label(self, label: str) -> str | None:
        if "," in label:
            return f"{shown(label)}: several labels for one example are not supported"
        if "\0" in label:
            return "there is a NUL byte in the label"
        if label == "qid":
            return _RANKING
        return self._fault_of_target(label)

    def _fault_of_pairs(self, pairs: Sequence[str]) -> str | None:
        last = self._base - 1
        for pair in pairs:
            index, colon, value = pair.partition(":")
            if index == "qid":
                return _RANKING
            if not colon or not _INDEX.fullmatch(index):
                return f"{shown(pair)} is not INDEX:VALUE"
            if fault := self._fault_of_index(int(index), last) or fault_of_text(value):
                return f"{shown(pair)}: {fault}"
            last = int(index)
        return None

    def _fault_of_index(self, index: int, last: int) -> str | None:
        if index < self._base:
            return "indices count from 1 (the option zero_based=true counts from 0)"
        if index - self._base >= self._limit:
            return f"the largest index that {self._limit} features have is {self._limit_index}"
        if index <= last:
            return f"indices must ascend, and the one before is {last}"
        return None

    @property
    def _limit_index(self) -> int:
        return self._limit - 1 + self._base


@dataclass(frozen=True)
class _Layout:
    """What lines begin with.

    Attributes:
        labelled: whether each has a label; else those that begin with a pair have none.
        weighted: whether labels have weights; None forbids pairs at the beginning, which would
            look like that.
    """

    labelled: bool
    weighted: bool | None


@dataclass(frozen=True)
class _Tokens:
    """Where the parts of some lines are: pairs of starts and ends.

    Attributes:
        indptr: shape (n_lines + 1,): which indices and values are of which line.
    """

    labels: tuple[Positions, Positions]
    weights: tuple[Positions, Positions]
    indices: tuple[Positions, Positions]
    values: tuple[Positions, Positions]
    indptr: Positions


def _tokens(content: bytes, layout: _Layout) -> _Tokens:
    """Find the parts of lines without comments; lines of blanks alone have none.

    Raises:
        ValueError: there is something else than a label and pairs.
    """
    text = np.frombuffer(b"\n" + content + b"\n", np.uint8)
    is_break, is_colon = _IS_BREAK[text], text == ord(":")
    starts = np.flatnonzero(is_break[:-1] & ~is_break[1:])  # as positions of content,
    ends = np.flatnonzero(is_break[1:] & ~is_break[:-1])  # which begins one byte later
    is_value = is_colon[starts]
    if (is_break[:-1] & is_colon[1:]).any() or is_value.sum() != is_colon.sum():
        raise ValueError("a colon stands beside a blank or another colon")
    firsts = np.searchsorted(starts, np.flatnonzero(text == ord("\n")))
    firsts = firsts[:-1][np.diff(firsts) > 0]  # the first token of each line that has some
    is_pair = np.append(is_value, False)[firsts + 1]
    if layout.weighted is None and is_pair.any():
        raise ValueError("it cannot be told whether a line begins with a label")
    labels = firsts if layout.labelled or layout.weighted else firsts[~is_pair]
    weights = firsts[is_pair] + 1 if layout.weighted else firsts[:0]
    is_pair = np.ones(len(starts), np.bool_)
    is_pair[labels] = is_pair[weights] = False
    others = np.flatnonzero(is_pair)
    indptr = np.append(np.searchsorted(others, firsts), len(others))
    if (indptr % 2).any() or is_value[others[::2]].any() or not is_value[others[1::2]].all():
        raise ValueError("there is something else than pairs")
    at, to = starts[others], ends[others]
    return _Tokens(
        (starts[labels], ends[labels]),
        (starts[weights], ends[weights]),
        (at[::2], to[::2]),
        (at[1::2], to[1::2]),
        indptr // 2,
    )
