"""The sources of the native engine, how they are compiled, and the version that they give it.

The build reads this file before anything is installed (setup.py), so it imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent
#: NAME.h of every update rule.
RULES = FOLDER.parents[1] / "optimizers" / "rules"

#: Scripts that have no command in the engine.
ONLY_LUA = ("copy", "counted", "create", "drop", "fence", "rename")

#: Multiplying and adding is never fused, which would round once less than Lua. Nobody reads
#: errno or the floating-point flags: roots and branches then fit into wide registers. Arrays of
#: pointers are handed on under another type.
FLAGS = (
    "-O3",
    "-std=c11",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
)

_C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_LUA_COMMENT = re.compile(r"--.*")


def compiled() -> list[Path]:
    """The files that are given to the compiler; the others are read from them."""
    return sorted(FOLDER.glob("*.c"))


def headers() -> list[Path]:
    return [*sorted(FOLDER.glob("*.h")), *sorted(RULES.glob("*.h"))]


def mirrored() -> list[Path]:
    """The scripts that the engine's commands do the work of."""
    shared = [path for path in (FOLDER.parent / "lua").glob("*.lua") if path.stem not in ONLY_LUA]
    return [*sorted(shared), *sorted(RULES.glob("*.lua"))]


def each_rule() -> str:
    """The text of ``each_rule.h``, which the build puts beside its objects."""
    files = sorted(RULES.glob("*.h"))
    names = " ".join(f"X({path.stem})" for path in files)
    return f"#define EACH_RULE(X) {names}\n" + "".join(f'#include "{p.name}"\n' for p in files)


@lru_cache(maxsize=1)
def version() -> str:
    """The digest of all that the engine does: its sources and the scripts that it mirrors.

    Comments and layout do not count. The module answers it to ``distbelief.version``; one that
    answers otherwise is not used.
    """
    return hashlib.sha256("\n".join(_words()).encode()).hexdigest()[:8]


def _words() -> Iterator[str]:
    for paths, comment in (([*compiled(), *headers()], _C_COMMENT), (mirrored(), _LUA_COMMENT)):
        for path in paths:
            yield " ".join(comment.sub("", path.read_text(encoding="utf-8")).split())
