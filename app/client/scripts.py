"""Server-side scripts: read from the package, named by their content; their native twins."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

#: The names of the native module's commands begin with this word and a dot.
COMMANDS = "distbelief"


@dataclass(frozen=True)
class Script:
    """A Lua script. Its SHA-1 is its version: a changed script is another script.

    ``twin`` is the command of the native module that does the same, if there is one. One that only
    ``reads`` may be called by whoever has no right to write, and on a replica. The twin of one that
    ``hands_over`` has its array, and gives that of its answer, in shared memory where there is any.
    """

    name: str
    source: str
    twin: str | None = None
    reads: bool = False
    hands_over: bool = False

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(
        cls,
        package: str,
        name: str,
        *before: str,
        twin: str | None = None,
        reads: bool = False,
        hands_over: bool = False,
    ) -> Script:
        """Read ``package/lua/name.lua``, behind the text of the files ``before``."""
        folder = files(package) / "lua"
        parts = (folder / f"{part}.lua" for part in (*before, name))
        return cls.join(name, *parts, twin=twin, reads=reads, hands_over=hands_over)

    @classmethod
    def join(
        cls,
        name: str,
        *parts: Traversable,
        twin: str | None = None,
        reads: bool = False,
        hands_over: bool = False,
    ) -> Script:
        """Read a script that is in several files, one behind another."""
        source = "\n".join(part.read_text(encoding="utf-8") for part in parts)
        command = f"{COMMANDS}.{twin}" if twin else None
        return cls(name, source, command, reads, hands_over)
