"""Versions of what this process runs, and a digest of our own code."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Packages that coordinator and workers share.
PACKAGES = ("distbelief", "celery", "redis", "numpy")

#: Folders of the code that both run, beside one another.
CODE = ("app", "worker_tasks")


def versions() -> dict[str, str]:
    """By name: ``python``, each of ``PACKAGES``, and ``code``, which changes with every edit."""
    found = {package: _version(package) for package in PACKAGES}
    return found | {"python": platform.python_version(), "code": _code()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # ours may run from where its sources lie
        return "not installed"


def _code() -> str:
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for folder in CODE:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".lua"):
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
