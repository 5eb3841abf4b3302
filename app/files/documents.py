"""JSON that somebody else may have written: read with an answer to everything that it may be."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: Bytes of a document: the run.json of a model with a million tensors has fewer.
LARGEST = 64 << 20

#: Lists and objects within one another: whoever walks through a document has an end, too.
MOST_DEPTH = 100

_TOO_DEEP = f"it is nested too deeply, more than {MOST_DEPTH} times"


def parse(text: str | bytes) -> Any:
    """The document of ``text``; raises ValueError, also where it is nested without end."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [document] if isinstance(document, list | dict) else []
    for _ in range(MOST_DEPTH + 1):
        if not level:
            return document
        level = [each for outer in level for each in _inside(outer)]
    raise ValueError(_TOO_DEEP)


def _inside(document: Any) -> Iterable[Any]:
    """The lists and objects in a list or an object."""
    values = document.values() if isinstance(document, dict) else document
    return [value for value in values if isinstance(value, list | dict)]


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object of ``text``; raises ValueError if it is anything else."""
    document = parse(text)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def read_regular(file: Path) -> bytes:
    """What is in a regular file of a size that a document has; a pipe is not waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if found.st_size > LARGEST:
            raise OSError(
                errno.EFBIG, f"it has {found.st_size:,} bytes, at most {LARGEST:,} are read"
            )
        return stream.read(LARGEST)
