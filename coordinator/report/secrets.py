"""Takes out of what is read for a report whatever must not be seen in it."""

from __future__ import annotations

import re
from typing import Any

#: User name and password of a URL, up to the last @: a password may hold / ? or #.
_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@")
_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|credential|(api|access)_?key", re.I)

HIDDEN = "..."


def without_secrets(document: Any) -> Any:
    """A copy of a JSON document without passwords: in URLs, and under names that say so."""
    if isinstance(document, str):
        return _CREDENTIALS.sub(rf"\1{HIDDEN}@", document)
    if isinstance(document, dict):
        return {
            name: HIDDEN if _SECRET.search(str(name)) and value else without_secrets(value)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [without_secrets(each) for each in document]
    return document
