"""Takes out of what is read for a report whatever must not be seen in it."""

from __future__ import annotations

import re
from typing import Any

#: What a URL may be: each is looked at once, whatever its length.
_WORD = re.compile(r"[^\s'\"]+")
_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|credential|(api|access)_?key", re.I)

HIDDEN = "..."


def without_secrets(document: Any) -> Any:
    """A copy of a JSON document without passwords: in URLs, and under names that say so."""
    if isinstance(document, str):
        return _WORD.sub(_without_credentials, document)
    if isinstance(document, dict):
        return {
            name: HIDDEN if _SECRET.search(str(name)) and value else without_secrets(value)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [without_secrets(each) for each in document]
    return document


def _without_credentials(found: re.Match[str]) -> str:
    """Hide what is before the last @ of a URL: a password may hold / ? or #."""
    word = found[0]
    start, end = word.find("://"), word.rfind("@")
    return f"{word[: start + 3]}{HIDDEN}{word[end:]}" if 0 <= start < end else word
