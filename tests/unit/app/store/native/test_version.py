"""The native engine's version says which sources it was made of, and which scripts it mirrors."""

from __future__ import annotations

import hashlib
import re

from distbelief.app.store.native import VERSION
from tests.native import SOURCES, extension
from tests.redis.store.native.both_engines import TWINS

DEFINED = re.compile(r'^#define VERSION "(.*)"$', re.MULTILINE)
C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
LUA_COMMENT = re.compile(r"--.*")


def digest() -> str:
    """Of all that the engine does: its sources and the scripts, without comments and layout."""
    files = sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")])
    texts = [C_COMMENT.sub("", DEFINED.sub("", path.read_text())) for path in files]
    texts += [LUA_COMMENT.sub("", script.source) for script in TWINS]
    words = [" ".join(text.split()) for text in texts]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]


def test_another_engine_has_another_version() -> None:
    """Else a server would go on with an older module, whose bits are not the scripts'."""
    defined = DEFINED.findall((SOURCES / "module.c").read_text())
    assert (defined, VERSION) == ([digest()], digest()), (
        "the native engine's sources or the scripts that it mirrors have changed: change them "
        f"alike, and VERSION in module.c and __init__.py to {digest()!r}"
    )


def test_all_sources_are_built() -> None:
    built = extension()["sources"]
    assert built == sorted(f"app/store/native/{path.name}" for path in SOURCES.glob("*.c"))
