"""Optional packages, which ``pip`` installs as extras of ours."""

from __future__ import annotations


def installation(extra: str) -> str:
    """The command that installs an extra: from the checkout, or with the wheel made of it.

    No index has this project: anybody could register its bare name there.
    """
    return f"pip install '.[{extra}]' in the checkout, or 'WHEEL[{extra}]'"
