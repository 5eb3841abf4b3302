"""Server-side scripts: read from the package, named by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files


@dataclass(frozen=True)
class Script:
    """A Lua script. Its SHA-1 is its version: a changed script is another script."""

    name: str
    source: str

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, package: str, name: str, *before: str) -> Script:
        """Read ``package/lua/name.lua``, behind the text of the files ``before``."""
        folder, parts = files(package) / "lua", (*before, name)
        return cls(name, "\n".join((folder / f"{part}.lua").read_text() for part in parts))
