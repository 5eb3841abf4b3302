"""The interface of formats whose files are read into memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class InMemoryFormat:
    """A format of files of this machine that fit into memory.

    Attributes:
        matches: whether a path is of this format, by its name alone.
        paths: the files that make up the data set of a path.
        read: features and targets, from all these files and the path, for messages.
        read_features: the features, from the first file and the path.
        read_weights: the array of that name, likewise, for the weights of the examples; None if
            there is none. A format without names has none of this.
    """

    matches: Callable[[str], bool]
    paths: Callable[[str], list[str]]
    read: Callable[[Sequence[BufferedReader], str], tuple[Array, Array]]
    read_features: Callable[[BufferedReader, str], Array]
    read_weights: Callable[[BufferedReader, str, str], Array | None] | None = None
