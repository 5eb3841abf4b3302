"""The name of the command line, as whoever reads a message or a help text can type it."""

from __future__ import annotations

import sys

#: The installed command; programs that import us name it, too.
INSTALLED = "distbelief"

#: Packages that ``python -m`` starts; the second one is there in a checkout.
MODULES = (INSTALLED, "coordinator")


def program() -> str:
    """The command that starts this program: ``distbelief``, or ``python -m`` and the package."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = "" if spec is None else spec.name.removesuffix(".__main__")
    return f"python -m {module}" if module in MODULES else INSTALLED
