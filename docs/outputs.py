"""Types what the documents type and puts what is printed today in its place: ``make outputs``.

A block of the kind ``console`` has commands behind a prompt, and below each what it prints; ``...``
stands for what is left out. The same parts are left out again.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/guide.md", "docs/examples/own-csv.md", "docs/examples/own-model.md")

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.\w+)\n")
PROMPT, REST = "$ ", "..."

#: What stands here for what stands there.
HERE = {"make train": "python -m coordinator train"}


def typed(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, and the lines below each."""
    for part in re.split(rf"^{re.escape(PROMPT)}", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        yield command, lines


def refreshed(documented: Sequence[str], printed: Sequence[str]) -> list[str]:
    """The same parts of what is printed as of what the document shows.

    Between parts is ``...``. Each is found by how its first line begins, and is as long as before;
    one that ends the document's text goes on to the end.
    """
    lines, at, before = list[str](), 0, ""
    for known in documented:
        if known != REST and before == REST:
            here = beginning(known)
            at = next((i for i in range(at, len(printed)) if beginning(printed[i]) == here), at)
        lines += [REST] if known == REST else printed[at : at + 1]
        at += known != REST
        before = known
    return lines if before == REST else [*lines, *printed[at:]]


def beginning(line: str) -> str:
    """A line up to its first number."""
    return re.split(r"[0-9]", line, maxsplit=1)[0]


def run(command: str, folder: Path) -> list[str] | None:
    """What a command prints, at both ends, in a folder; None if it cannot be run here."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "PYTHONUNBUFFERED": "1"}
    found = subprocess.run(
        shlex.split(HERE.get(command, command)),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if found.returncode:
        sys.stderr.write(f"left as it is: {command}\n{found.stdout}")
    text = found.stdout.replace(f"{folder}/", "")
    return None if found.returncode else text.splitlines()


def page(text: str, folder: Path) -> str:
    """The text of a page with what its commands print today."""

    def block(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        parts = []
        for command, lines in typed(found[2]):
            wanted = lines or is_program(command, folder)
            printed = run(command, folder) if wanted else None
            shown = lines if printed is None or not lines else refreshed(lines, printed)
            parts += [f"{PROMPT}{command}", *shown]
        return "\n".join(["```console", *parts, "```"])

    return BLOCK.sub(block, text)


def is_program(command: str, folder: Path) -> bool:
    """Whether it is a program of the documents, which others need to have run."""
    words = shlex.split(command)
    return words[0] == "python" and (folder / words[1]).is_file()


def main() -> None:
    """Refresh the pages that are named, or all that can be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in (ROOT / each for each in PAGES):
            for _, text in BLOCK.findall(each.read_text("utf-8")):
                if (found := FILE.match(text)) is not None:
                    (folder / found[1]).parent.mkdir(exist_ok=True)
                    (folder / found[1]).write_text(text, "utf-8")
        for each in (ROOT / each for each in sys.argv[1:] or PAGES):
            each.write_text(page(each.read_text("utf-8"), folder), "utf-8")


if __name__ == "__main__":
    main()
