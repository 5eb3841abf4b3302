"""The name of the command line, as whoever reads a message or a help text can type it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

#: The installed command; programs that import us name it, too.
INSTALLED = "distbelief"

#: Packages that ``python -m`` starts; the second one is there in a checkout.
MODULES = (INSTALLED, "coordinator")


#: Where runs are unless a flag says otherwise.
FOLDER = "runs"


def command(*words: str, folder: str | Path = FOLDER) -> str:
    """A command of ours, with the folder of its runs, as it can be typed here."""
    where = [] if Path(folder) == Path(FOLDER) else ["--folder", str(folder)]
    return f"{program()} {shlex.join([*words, *where])}"


def program() -> str:
    """The command that starts this program: ``distbelief``, or ``python -m`` and the package."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = "" if spec is None else spec.name.removesuffix(".__main__")
    return f"python -m {module}" if module in MODULES else INSTALLED


def lacking(missing: ModuleNotFoundError) -> str:
    """A sentence on a package that the Python at work here does not have."""
    return (
        f"{sys.executable} has no package {missing.name}: activate the environment in which this "
        "program is installed (a checkout has one after make train: source .venv/bin/activate)"
    )
