"""Versions of what this process runs, and a digest of our own code."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Packages that coordinator and workers share.
PACKAGES = ("distbelief", "celery", "redis", "numpy")

#: Folders of the code that both run, beside one another.
CODE = ("app", "worker_tasks")
ENDINGS = (".py", ".lua")


def versions() -> dict[str, str]:
    """By name: ``python``, each of ``PACKAGES``, and ``code``, which changes with every edit."""
    found = {package: version_of(package) for package in PACKAGES}
    return found | {"python": platform.python_version(), "code": code_digest()}


def version_of(package: str) -> str:
    """The installed version of a package, or that there is none."""
    try:
        return version(package)
    except PackageNotFoundError:  # ours may run from where its sources lie
        return "not installed"


@cache
def code_digest() -> str:
    """A digest of the code that computes; empty where there is no source (zip, .pyc alone).

    Asked for as soon as this code is imported, for later the files may be others.
    """
    root, digest, found = Path(__file__).parents[2], hashlib.sha256(), False
    for name in sorted(_sources(root), key=lambda name: name.split(os.sep)):
        digest.update(name.encode())
        digest.update((root / name).read_bytes())
        found = found or name.endswith(".py")
    return digest.hexdigest()[:12] if found else ""


def _sources(root: Path) -> Iterator[str]:
    """Names of the files with code below ``root``; each process asks for them as it begins."""
    for folder in CODE:
        for parent, _, names in os.walk(root / folder):
            place = os.path.relpath(parent, root)
            yield from (os.path.join(place, name) for name in names if name.endswith(ENDINGS))
