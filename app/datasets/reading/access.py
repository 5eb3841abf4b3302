"""The files and URLs that may be opened as data: what the operator of a process allows.

Names of data travel: in run records, in model files, in messages. Whoever writes one must not
have a machine open what nobody there wants opened, so URLs are of protocols that are named here
or by the operator, and a worker may be held to some folders and buckets.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import unquote

from distbelief.app.errors import DataError

#: Protocols of URLs that may be opened, commas between them; it takes the place of the default.
PROTOCOLS_VARIABLE = "DISTBELIEF_DATA_PROTOCOLS"
PROTOCOLS = ("file", "https", "s3", "gs", "abfs", "hf")

#: How a file of this machine is written as a URL.
LOCAL = "file://"

#: Folders, and beginnings of URLs, under which workers may open data, commas between them.
ROOTS_VARIABLE = "DISTBELIEF_DATA_ROOTS"

#: Those to which this thread is held just now; None is anywhere.
_roots: ContextVar[tuple[str, ...] | None] = ContextVar("_roots", default=None)


def is_url(source: str) -> bool:
    """Whether ``source`` is a URL, not a path of this machine."""
    return "://" in source


def data_roots() -> tuple[str, ...] | None:
    """The folders and URLs that the operator names; None if he names none, which is anywhere."""
    said = os.environ.get(ROOTS_VARIABLE, "")
    return tuple(root.strip() for root in said.split(",") if root.strip()) or None


@contextmanager
def only_under(roots: Sequence[str] | None) -> Iterator[None]:
    """Open, in this thread and as long as this lasts, no data but under ``roots``."""
    token = _roots.set(None if roots is None else tuple(roots))
    try:
        yield
    finally:
        _roots.reset(token)


def check_access(name: str, *, pattern: bool = False) -> None:
    """Look whether a path or a URL may be opened; nothing has been asked about it before.

    Of a ``pattern`` it is the folder that counts: files that it finds are looked at one by one.

    Raises:
        DataError: its protocol is not allowed, or it is not under the roots.
    """
    if is_url(name):
        _check_protocol(name)
    roots = _roots.get()
    place = _folder_of(name) if pattern else name
    if roots is not None and not any(_is_under(place, root) for root in roots):
        raise DataError(
            f"{name}: workers here open data only under {', '.join(roots)}: lay the file there, "
            f"have their operator add its place to {ROOTS_VARIABLE}, or train with --stage-data"
        )


def _is_under(name: str, root: str) -> bool:
    """Whether a path, with its links followed, or a URL lies under ``root``."""
    name, root = name.removeprefix(LOCAL), root.removeprefix(LOCAL)
    if is_url(root):
        inside = name.removeprefix(root.rstrip("/"))
        up = ".." in unquote(inside).split("/")
        return name != inside and inside[:1] in ("", "/") and not up
    return not is_url(name) and _real(name).is_relative_to(_real(root))


def _real(path: str) -> Path:
    return Path(os.path.realpath(Path(path).expanduser()))


def _folder_of(pattern: str) -> str:
    """What is before the first name that has ``*``, ``?`` or ``[...]`` in it."""
    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")


def _check_protocol(url: str) -> None:
    said = os.environ.get(PROTOCOLS_VARIABLE)
    allowed = PROTOCOLS if said is None else [each.strip() for each in said.split(",")]
    protocol = url.partition("://")[0]
    if "::" in url:
        raise DataError(
            f"{url}: chains of file systems (::) are not opened: name the file itself, as at "
            "s3://BUCKET/FILE"
        )
    if protocol not in allowed:
        raise DataError(
            f"{url}: data at {protocol}:// are not opened here, only at {', '.join(allowed)}: "
            f"copy the file to this machine, or set {PROTOCOLS_VARIABLE}="
            f"{','.join((*allowed, protocol))} here and for the workers"
        )
